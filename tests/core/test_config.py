import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError
from scripts import ROOT

from vidworld.core.config import load, parse_command_line, resolved, schema, to_yaml
from vidworld.core.errors import UserError


@schema
class Optimiser:
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    kind: Literal["adamw", "sgd"] = "adamw"


@schema
class Block:
    width: int = 8


@schema
class Mixture:
    shares: dict[str, float] = Field(default_factory=lambda: {"a": 1.0, "b": 3.0})


@schema
class Training:
    steps: Annotated[int, Field(ge=1)]
    folder: Path = Path("runs/x")
    resume_from: str | None = None
    bf16: bool = True
    size: int | tuple[int, int] = 64
    optimiser: Optimiser = Optimiser(learning_rate=2e-3)
    blocks: tuple[Block, ...] = ()
    weights: dict[str, float] = Field(default_factory=lambda: {"a": 0.5, "b": 2.0})
    mixture: Mixture = Mixture()
    named: dict[str, Block] = dataclasses.field(default_factory=dict)
    maybe: Block | None = None

    def __post_init__(self) -> None:
        if self.bf16 and self.steps == 13:
            raise ValueError("bf16 with 13 steps brings bad luck; try 14")


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "training.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def faults(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load(Training, path, overrides)
    return str(caught.value).replace(str(path), "FILE").splitlines()


def test_values_defaults_and_types(write):
    path = write("steps: 5\nfolder: a/b\noptimiser: {betas: [0, 1.5]}\nblocks: [{width: 3}, {}]\n")
    config = load(Training, path)
    assert config.folder == Path("a/b")
    assert config.blocks == (Block(width=3), Block())
    assert config.optimiser.betas == (0.0, 1.5)
    assert isinstance(config.optimiser.betas[0], float)
    assert config.bf16 is True


def test_a_mapping_keeps_the_defaults_that_the_schema_gives_there(write):
    path = write("steps: 5\noptimiser: {kind: sgd}\n")
    assert load(Training, path).optimiser.learning_rate == 2e-3
    assert load(Training, path, ["optimiser.betas=[0, 0]"]).optimiser == Optimiser(
        learning_rate=2e-3, kind="sgd", betas=(0.0, 0.0)
    )
    assert load(Training, write("steps: 5\n"), ["optimiser.kind=sgd"]).optimiser.learning_rate == 2e-3


def test_a_dict_of_the_file_replaces_the_default_and_an_override_sets_one_key(write):
    assert load(Training, write("steps: 5\nweights: {a: 1}")).weights == {"a": 1.0}
    assert load(Training, write("steps: 5\nmixture: {shares: {a: 1}}")).mixture.shares == {"a": 1.0}
    assert load(Training, write("steps: 5"), ["mixture.shares.a=2"]).mixture.shares == {"a": 2.0, "b": 3.0}
    assert load(Training, write("steps: 5"), ["weights.a=1"]).weights == {"a": 1.0, "b": 2.0}
    assert load(Training, write("steps: 5\nnamed: {x: {width: 3}, y: {}}")).named["y"] == Block()


@pytest.mark.parametrize(("text", "value"), [("1e-3", 1e-3), ("3", 3.0), ("2.5E+2", 250.0), (".5", 0.5)])
def test_what_reads_as_a_float(write, text, value):
    assert load(Training, write("steps: 5\n"), [f"optimiser.learning_rate={text}"]).optimiser.learning_rate == value
    assert load(Training, write(f"steps: 5\noptimiser: {{learning_rate: {text}}}")).optimiser.learning_rate == value


@pytest.mark.parametrize("word", ["no", "on", "12:30", "2026-11-22", "0x10", "010", "1e", "e3", "'='", "'1e-3'"])
def test_what_yaml_1_1_would_twist_stays_a_word(write, word):
    assert load(Training, write(f"steps: 5\nresume_from: {word}")).resume_from == word.strip("'")


def test_overrides_win_and_reach_into_mappings(write):
    path = write("steps: 5\nweights: {a: 1}\n")
    config = load(Training, path, ["steps=7", "weights.b=2", "size=[3, 4]", "steps=8", "resume_from=a=b"])
    assert (config.steps, config.size, config.resume_from) == (8, (3, 4), "a=b")
    assert config.weights == {"a": 1.0, "b": 2.0}
    assert load(Training, path, ["maybe.width=3"]).maybe == Block(width=3)


def test_a_config_is_frozen_and_strict_in_python_too(write):
    config = load(Training, write("steps: 5"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.steps = 6
    with pytest.raises(ValidationError):
        Block(width="3")


def test_every_fault_of_file_and_overrides_has_its_line(write):
    path = write("steps: five\nfodler: x\noptimiser: {kind: adam, learning_rate: -1}\nsize: [a]\n")
    assert sorted(faults(path, "bf16=1", "blocks=[{width: 1.5}]", "nonsense")) == sorted(
        [
            "override 'nonsense': an override is key.path=value",
            'FILE: steps is "five": should be a valid integer',
            'FILE: there is no key fodler (given "x"); did you mean folder?',
            "FILE: optimiser.kind is \"adam\": should be 'adamw' or 'sgd'",
            "FILE: optimiser.learning_rate is -1: should be greater than 0",
            'FILE: size is ["a"]: should be a valid integer',
            'FILE: size.0 is "a": should be a valid integer',
            "FILE: size.1 is missing; it has no default",
            "override 'bf16=1': bf16 is 1: should be a valid boolean",
            "override 'blocks=[{width: 1.5}]': blocks.0.width is 1.5: should be a valid integer",
        ]
    )


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("stesp=5", "there is no key stesp (given 5); did you mean steps?"),
        ("optimiser.learning_rat=5", "did you mean optimiser.learning_rate?"),
        ("learning_rate=5", "did you mean optimiser.learning_rate?"),
        ("blocks=[{widht: 5}]", "there is no key blocks.0.widht (given 5); did you mean blocks.0.width?"),
        ("optimiser.zzz=5", "valid here: learning_rate, betas, kind"),
        ("optimiser=3", "optimiser is 3: should be an object"),
        ("steps=true", "steps is true: should be a valid integer"),
        ("steps=5.0", "steps is 5.0: should be a valid integer"),
        ("steps='5'", 'steps is "5": should be a valid integer'),
        ("steps=", "steps is null: should be a valid integer"),
        ("optimiser.learning_rate=.nan", "optimiser.learning_rate is NaN: should be a finite number"),
        ("optimiser.learning_rate=.inf", "optimiser.learning_rate is Infinity: should be a finite number"),
        ("optimiser.betas=[1]", "optimiser.betas.1 is missing"),
        ("size=x", 'size is "x": should be a valid integer or should be a valid array'),
        ("steps.x=1", "steps is 5 in FILE, which has no keys"),
        ("steps=[1", "'[1' is not a YAML value"),
        ("steps=!!python/name:os.system", "is not a YAML value"),
        ("=3", "an override is key.path=value"),
        ("steps..x=3", "an override is key.path=value"),
        ("steps=13", "bf16 with 13 steps brings bad luck; try 14"),
    ],
)
def test_a_wrong_override_is_one_line_that_says_what_would_do(write, override, fault):
    (line,) = faults(write("steps: 5\n"), override)
    assert fault in line
    assert line.startswith(f"override {override!r}: ") or override == "steps=13"


@given(st.sampled_from(["steps", "folder", "resume_from", "optimiser", "weights"]), st.data())
def test_a_name_with_one_letter_gone_is_guessed(tmp_path_factory, name, data):
    gone = data.draw(st.integers(0, len(name) - 1))
    typed = name[:gone] + name[gone + 1 :]
    path = tmp_path_factory.getbasetemp() / "typo.yaml"
    path.write_text(f"steps: 3\n{typed}: 4\n")
    assert faults(path) == [f"FILE: there is no key {typed} (given 4); did you mean {name}?"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- 3\n", "holds [3]"),
        ("steps: [", "is not the YAML of a configuration: line 1"),
        ("steps: 1\nbf16: true\nsteps: 2\n", "line 3: steps is given twice"),
        ("steps: 1\noptimiser: {kind: sgd, kind: sgd}\n", "line 2: kind is given twice"),
        ("1: 2\n", "line 1: 1 is no key"),
        ("steps: &a [*a]\n", "is not the YAML of a configuration"),
        ("steps: !!timestamp 2026-11-22\n", "is not the YAML of a configuration"),
        ("a: 1\n---\nb: 2\n", "is not the YAML of a configuration"),
        ("steps: \x00", "is not the YAML of a configuration"),
    ],
)
def test_a_file_that_is_no_config_is_one_line(write, text, fault):
    (line,) = faults(write(text))
    assert line.startswith("FILE: ")
    assert fault in line


def test_no_file_a_folder_and_a_picture_are_one_line(tmp_path):
    assert faults(tmp_path / "none.yaml") == ["FILE: there is no such file; --config wants a YAML file of configs/"]
    assert faults(tmp_path) == ["FILE: cannot be read (Is a directory)"]
    picture = tmp_path / "picture.yaml"
    picture.write_bytes(b"\x89PNG\xff")
    assert "is not a text file" in faults(picture)[0]


# What YAML can hold: everything printable; a byte order mark is one only at the start.
words = st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"))
numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        Training,
        steps=st.integers(14, 10**12),
        folder=words.map(Path),
        resume_from=st.none() | words | st.sampled_from(["no", "1e-3", "~", "3", "=", "<<", "true", "0o7", "."]),
        bf16=st.booleans(),
        size=st.integers() | st.tuples(st.integers(), st.integers()),
        optimiser=st.builds(
            Optimiser, learning_rate=numbers.filter(lambda x: x > 0), betas=st.tuples(numbers, numbers)
        ),
        blocks=st.lists(st.builds(Block, width=st.integers())).map(tuple),
        weights=st.dictionaries(words, numbers),
    )
)
def test_what_is_saved_loads_as_it_was(tmp_path_factory, config):
    path = tmp_path_factory.getbasetemp() / "saved.yaml"
    path.write_text(to_yaml(config), encoding="utf-8", newline="\n")
    assert load(Training, path) == config


def test_resolved_is_plain_and_whole(write):
    config = load(Training, write("steps: 5"), ["size=[1, 2]"])
    assert resolved(config)["size"] == [1, 2]
    assert resolved(config)["folder"] == "runs/x"
    assert list(resolved(config)) == [field.name for field in dataclasses.fields(Training)]
    assert yaml.safe_load(to_yaml(config))["optimiser"]["learning_rate"] == 2e-3


def test_command_line(write, capsys):
    path = str(write("steps: 5\n"))
    config, arguments = parse_command_line(Training, ["--config", path, "steps=6", "--resume", "bf16=false"])
    assert (config.steps, config.bf16, arguments.resume) == (6, False, True)
    assert parse_command_line(Training, ["--config", path])[1].resume is False
    for argv in (["steps=6"], ["--config", path, "--resum"], ["--config", path, "--steps=5"]):
        with pytest.raises(UserError):
            parse_command_line(Training, argv)
    with pytest.raises(SystemExit, match="0"):
        parse_command_line(Training, ["--help"])
    printed = capsys.readouterr().out
    assert "optimiser.learning_rate: float = 0.002" in printed
    assert 'weights: dict[str, float] = {"a": 0.5, "b": 2.0}' in printed
    assert "steps: int\n" in printed
    with pytest.raises(SystemExit, match="0"):
        parse_command_line(Optimiser, ["--help"], kinds={"kind: training": Training})
    assert "kind: training besides:\n" in (printed := capsys.readouterr().out)
    assert printed.index("steps: int\n") > printed.index("kind: training besides:")


@pytest.mark.parametrize(
    ("script", "override", "message"),
    [
        ("train/train_world_model.py", "batch_clips=8", "it is global_batch_size now"),
        ("train/train_world_model.py", "optimiser.clip_norm=1", "it is optimiser.max_grad_norm now"),
        ("train/train_world_model.py", "family=difusion", "did you mean diffusion?"),
        ("train/train_world_model.py", "data.scenarios={colision: 1}", "did you mean collision?"),
        ("eval/run_physics.py", "diffusion=runs/demo/diffusion", "it is models.diffusion now"),
        ("eval/run_physics.py", "worlds=[a]", "it is models now"),
        ("eval/run_physics.py", "scenarios=[unifrm]", "there is no scenario 'unifrm'; did you mean uniform?"),
        ("eval/run_physics.py", "laws=[permanense]", "there is no law 'permanense'; did you mean permanence?"),
        ("eval/run_physics.py", "metrics=[velocty_error]", "did you mean velocity_error?"),
        ("eval/run_physics.py", "tasks=[rolouts]", "did you mean rollouts?"),
        ("eval/run_physics.py", "models.mine=vjepa:x", "there is no kind of model 'vjepa'; did you mean vjepa2?"),
        ("eval/run_physics.py", "compare=[[jepa, diffusion], [jepa, difusion]]", "did you mean diffusion?"),
        ("eval/run_physics.py", "quadruplet=3", "did you mean quadruplets?"),
    ],
)
def test_an_unknown_or_renamed_name_is_one_line_before_torch_is_imported(script, override, message):
    name = "diffusion" if "train" in script else "physics"
    probe = "import atexit, runpy, sys; atexit.register(lambda: print('torch' in sys.modules))"
    code = f"{probe}; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    models = ["models={jepa: a, diffusion: b}"] if "compare" in override else []
    line = [script, "--config", f"configs/demo/{name}.yaml", *models, override]
    done = subprocess.run([sys.executable, "-c", code, *line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout.split() == ["False"]
