"""V-JEPA 2 and the video models of diffusers, in small: three laws, no look ahead, and what cannot be used."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import tiny_models
import torch
from measured import rollout_values, surprise_values
from safetensors.torch import load_file, save_file

from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.core.errors import UserError
from vidworld.evaluation.surprises import encode_quadruplets, surprise_of
from vidworld.models import KINDS
from vidworld.models.external import ExternalModel
from vidworld.models.external.networks import DiffusersVideo, VJepa2
from vidworld.simulation.quadruplets import quadruplets
from vidworld.simulation.simulated import SimulatedClips

THREE_LAWS = ("permanence", "collision", "momentum")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder for every family of diffusers, and one of V-JEPA 2."""
    root = tmp_path_factory.mktemp("pretrained")
    made = {name: tiny_models.save_pipeline(name, root / name) for name in tiny_models.TRANSFORMERS}
    return made | {"vjepa2": tiny_models.save_vjepa2(root / "vjepa2")}


def load(folder, evaluator):
    kind = "vjepa2" if folder.name == "vjepa2" else "diffusers"
    return ExternalModel(folder.name, KINDS[kind](str(folder), CPU, 2), evaluator.tokenizer)


def clips_of(scenario="collision", number=0):
    return SimulatedClips(scenario, "id", shape=ClipShape(height_px=24, width_px=24)).clips([number])


@pytest.mark.thorough
@pytest.mark.parametrize("name", [*tiny_models.TRANSFORMERS, "vjepa2"])
def test_three_laws_end_to_end(name, folders, evaluator):
    model = load(folders[name], evaluator)
    for law in THREE_LAWS:
        made = quadruplets(law, "id", 0, [0], 8, shape=ClipShape(height_px=24, width_px=24))
        matrix = surprise_of(evaluator, model, encode_quadruplets(evaluator, made))
        values = surprise_values(matrix, made)
        assert matrix.shape == (1, 2, 2, 2)
        assert (matrix > 0).all()
        assert 0 <= values["surprise_accuracy"] <= 1
    if model.predicts:
        measured = rollout_values(evaluator, [model], clips_of(), "collision", samples=2)
        assert {"velocity_error", "motion_ratio"} <= {value.metric for value in measured}
        assert all(math.isfinite(value.value) for value in measured)


@pytest.mark.thorough
@pytest.mark.parametrize("name", tiny_models.TRANSFORMERS)
def test_other_frames_after_the_context_change_no_bit_of_the_prediction(name, folders, evaluator):
    model, clips = load(folders[name], evaluator), clips_of()
    other = replace(clips, frames=torch.cat((clips.frames[:, :8], 255 - clips.frames[:, 8:]), dim=1))
    one, two = (evaluator.roll_out(model, evaluator.encode(each)).tokens for each in (clips, other))
    assert torch.equal(one, two)
    assert not torch.equal(one, evaluator.roll_out(model, evaluator.encode(clips_of(number=1))).tokens)


@pytest.mark.parametrize("name", tiny_models.TRANSFORMERS)
def test_later_frames_change_no_bit_of_the_surprise_before_them(name, folders, evaluator):
    model, clips = load(folders[name], evaluator), clips_of()
    other = replace(clips, frames=torch.cat((clips.frames[:, :12], 255 - clips.frames[:, 12:]), dim=1))
    one, two = (model.surprise(evaluator.encode(each), 2, [5]) for each in (clips, other))
    ratio = model.model.parts.ratio.frames
    assert ratio == 4
    assert torch.equal(one[:, 0], two[:, 0])
    assert not torch.equal(one[:, 1], two[:, 1])
    assert not torch.equal(one, model.surprise(evaluator.encode(clips), 2, [6]))


@pytest.mark.parametrize("name", tiny_models.TRANSFORMERS)
def test_what_a_transformer_holds_after_a_chunk_is_of_the_frames_up_to_there(name, folders):
    model = DiffusersVideo(folders[name], CPU, 2)
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 255, (2, 16, 3, 32, 32), dtype=torch.uint8, generator=generator)
    later, corner = frames.clone(), frames.clone()
    later[:, 8:] = 0
    corner[:, :8, :, 16:, 16:] = 255
    states, after, moved = (model.hidden_states(Clips(f, 10.0, ("a", "b")), 8) for f in (frames, later, corner))
    layers = tiny_models.TRANSFORMERS[name][2]["num_layers"]
    assert states.shape[:3] == (2, 2, layers) and states.isfinite().all()
    assert torch.equal(states[:, 0], after[:, 0]) and not torch.allclose(states[:, 1], after[:, 1], atol=1e-3)
    change = (moved - states)[:, 0].abs().mean(dim=(0, 1, 4))
    h, w = change.shape
    assert change[h // 2 :, w // 2 :].mean() > change[: h // 2, : w // 2].mean()  # where the pictures differ


def test_vjepa2_predicts_from_the_context_encoded_alone(folders, evaluator):
    model = load(folders["vjepa2"], evaluator).model
    pictures = model._pictures(clips_of().frames)
    changed = pictures.clone()
    changed[:, 8:] += 1
    heard = []
    original = model.network.encoder.forward
    model.network.encoder.forward = lambda x, **k: heard.append(x.shape[1]) or original(x, **k)
    one, two = (model.predicted(each[:, :8], 8) for each in (pictures, changed))
    assert heard == [8, 8]
    assert torch.equal(one, two)
    assert one.shape == (1, 4 * 4, 24)  # tubelets of two frames, two by two patches
    other = model.predicted(model._pictures(clips_of(number=1).frames)[:, :8], 8)
    assert not torch.equal(one, other)


def test_vjepa2_is_surprised_as_the_distance_from_the_layer_normed_target(folders, evaluator):
    model, clips = load(folders["vjepa2"], evaluator).model, clips_of()
    pictures = model._pictures(clips.frames)
    target = model.network.encoder(pictures).last_hidden_state[:, -16:]
    target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    distance = (model.predicted(pictures[:, :8], 8) - target).abs().mean(dim=-1).view(1, 4, 4).mean(dim=-1)
    surprise = model.surprise(clips, 8, [0])
    assert surprise.shape == (1, 8)
    assert torch.allclose(surprise[:, :2], distance[:, :1].expand(-1, 2), atol=1e-5)  # one window has its first tubelet


def test_vjepa2_says_which_lengths_do_not_fit(folders):
    model, clips = VJepa2(folders["vjepa2"], CPU), clips_of()
    with pytest.raises(UserError, match="context_frames 7 is no multiple of its tubelets of 2"):
        model.surprise(clips, 7, [0])
    longer = replace(clips, frames=clips.frames.repeat(1, 3, 1, 1, 1))
    with pytest.raises(UserError, match="clips of 16 frames, and context_frames 20"):
        model.surprise(longer, 20, [0])


VARIANTS = {
    "LTX of the first version": ("ltx", {"index": {"_class_name": "LTXPipeline"}}),
    "Wan with times by token": ("wan", {"index": {"expand_timesteps": True}}),
    "Wan image-to-video": ("wan", {"in_channels": 12}),
    "CogVideoX image-to-video": ("cogvideox", {"in_channels": 8}),
    "CogVideoX 1.5": ("cogvideox", {"patch_size_t": 2, "patch_bias": False, "ofs_embed_dim": 8}),
    "Cosmos of text alone": ("cosmos", {"in_channels": 4}),
    "Cosmos 2": ("cosmos", {"scheduler": ("FlowMatchEulerDiscreteScheduler", {})}),
    "Cosmos 2.5": (
        "cosmos",
        {
            "use_crossattn_projection": True,
            "crossattn_proj_in_channels": 12,
            "encoder_hidden_states_channels": 8,
            "scheduler": ("UniPCMultistepScheduler", {"prediction_type": "flow_prediction", "use_flow_sigmas": True}),
        },
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_takes_its_past_and_no_other(name, tmp_path):
    family, options = VARIANTS[name]
    model = DiffusersVideo(tiny_models.save_pipeline(family, tmp_path / "model", **options), CPU, 2)
    clips = clips_of()
    context = replace(clips, frames=clips.frames[:, :8], tracks=None)
    frames = model.predict(context, 6, [3])
    assert frames.shape == (1, 6, 3, 24, 24)
    assert torch.equal(frames, model.predict(context, 6, [3]))
    assert not torch.equal(frames, model.predict(replace(context, frames=255 - context.frames), 6, [3]))
    assert not torch.equal(frames, model.predict(context, 6, [4]))
    states, other = (model.hidden_states(replace(context, frames=f), 4) for f in (context.frames, 255 - context.frames))
    assert states.shape[:2] == (1, 2) and states.shape[3] == states.shape[4] > 1
    assert states.isfinite().all() and not torch.allclose(states, other, atol=1e-3)


@pytest.mark.parametrize(("length", "fitted"), [(8, 9), (5, 5), (6, 5), (7, 5), (1, 1)])
def test_a_context_is_fitted_by_changing_the_fewest_of_its_oldest_frames(length, fitted, folders):
    model, frames = DiffusersVideo(folders["wan"], CPU, 2), clips_of().frames[:, :length]
    found = model._fitted(frames)
    assert found.shape[1] == fitted
    kept = min(length, fitted)
    assert torch.equal(found[:, -kept:], frames[:, -kept:])
    assert torch.equal(found[:, 0], frames[:, max(0, length - fitted)])


def test_the_empty_prompt_comes_from_the_folders_text_encoder(tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    folder = tiny_models.save_pipeline("wan", tmp_path / "wan")
    words = Tokenizer(WordLevel({"<pad>": 0, "</s>": 1}, unk_token="<pad>"))
    words.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>").save_pretrained(
        str(folder / "tokenizer")
    )
    torch.manual_seed(0)
    T5EncoderModel(T5Config(vocab_size=4, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)).save_pretrained(
        str(folder / "text_encoder")
    )
    parts = DiffusersVideo(folder, CPU, 2).parts
    assert parts.prompt.shape == (1, 512, 8)
    assert parts.prompt[0, 0].abs().sum() > 0
    assert parts.prompt[0, 1:].abs().sum() == 0  # Wan's embeddings end with the prompt
    T5EncoderModel(T5Config(vocab_size=4, d_model=6, d_kv=4, d_ff=8, num_layers=1, num_heads=2)).save_pretrained(
        str(folder / "text_encoder")
    )
    with pytest.raises(UserError, match="gives 6 numbers a word; the transformer wants 8"):
        DiffusersVideo(folder, CPU, 2)


def broken(folder, tmp_path, change):
    """A copy of the folder with something wrong."""
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    change(copy)
    return copy


def of_another_kind(copy):
    config = copy / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"_class_name": "FluxTransformer2DModel"}))


def without_a_weight(path):
    def change(copy):
        weights = load_file(copy / path)
        weights.pop(sorted(weights)[0])
        save_file(weights, copy / path, metadata={"format": "pt"})

    return change


WEIGHTS = "diffusion_pytorch_model.safetensors"
BROKEN = {
    "no transformer": ("wan", lambda c: shutil.rmtree(c / "transformer"), "has no transformer/ in it"),
    "another kind": ("wan", of_another_kind, "a model of kind FluxTransformer2DModel; known here: LTXVideo"),
    "no weights": ("wan", lambda c: (c / "vae" / WEIGHTS).unlink(), "vae: cannot be read as AutoencoderKLWan"),
    "a weight less": ("wan", without_a_weight(f"transformer/{WEIGHTS}"), "lacks 1 weights of WanTransformer3DModel"),
    "no scheduler's config": (
        "wan",
        lambda c: (c / "scheduler" / "scheduler_config.json").unlink(),
        "holds no scheduler_config.json",
    ),
    "an unknown scheduler": (
        "wan",
        lambda c: (c / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "Dice"}'),
        "names the scheduler Dice",
    ),
    "an image encoder": (
        "wan",
        lambda c: (c / "model_index.json").write_text('{"transformer_2": ["diffusers", "WanTransformer3DModel"]}'),
        "with two transformers is not supported",
    ),
    "no config": ("vjepa2", lambda c: (c / "config.json").unlink(), "holds no config.json"),
    "another model": (
        "vjepa2",
        lambda c: (c / "config.json").write_text('{"model_type": "vit"}'),
        "a model of kind vit; known here: vjepa2",
    ),
    "a weight of V-JEPA 2 less": ("vjepa2", without_a_weight("model.safetensors"), "they would be random"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_used_is_one_line_that_names_it(name, folders, tmp_path, evaluator):
    family, change, says = BROKEN[name]
    folder = broken(folders[family], tmp_path, change)
    with pytest.raises(UserError) as told:
        model = load(folder, evaluator)
        evaluator.roll_out(model, evaluator.encode(clips_of()))
    assert says in str(told.value)
    assert str(folder) in str(told.value)
    assert "\n" not in str(told.value)


def test_a_wrong_folder_and_a_wrong_size_are_named(folders, tmp_path, evaluator):
    for kind in ("vjepa2", "diffusers", "videos"):
        with pytest.raises(UserError, match="nothing: there is no such folder"):
            KINDS[kind](str(tmp_path / "nothing"), CPU, 2)
    model = DiffusersVideo(folders["wan"], CPU, 2)
    clips = SimulatedClips("uniform", "id", shape=ClipShape(height_px=20, width_px=20)).clips([0])
    with pytest.raises(UserError, match="height 20 px do not divide into its 8 px"):
        model.predict(replace(clips, tracks=None), 8, [0])
