"""What the evaluation measures of one batch, without work units and files."""

from vidworld.evaluation.evaluator import Subject
from vidworld.evaluation.rollouts import _of_subject, _references
from vidworld.evaluation.surprises import measure_surprise
from vidworld.evaluation.task import Case
from vidworld.metrics import METRICS


def surprise_values(matrix, quadruplets):
    """The metrics of surprise, by name, of the first quadruplet."""
    metrics = [metric for metric in METRICS.values() if metric.takes == "surprise"]
    values = measure_surprise(Case("it", None, "surprise", "id", 0), matrix, quadruplets, metrics)
    return {value.metric: value.value for value in values}


def rollout_values(evaluator, models, clips, scenario, samples=1):
    """The values of the references and of these models' rollouts."""
    seen = evaluator.encode(clips)
    place = (evaluator, (scenario, "id", evaluator.seed), [m for m in METRICS.values() if scenario in m.scenarios])
    found = list(_references(lambda: seen, *place))
    for model in models:
        found += _of_subject(lambda: seen, *place, Subject(model.name, model, ""), samples)
    return found
