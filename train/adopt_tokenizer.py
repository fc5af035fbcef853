"""Make a pretrained video autoencoder of diffusers a tokenizer of ours: measures its statistics, trains nothing.

python train/adopt_tokenizer.py --config configs/base/adopt.yaml pretrained=FOLDER [key=value ...]
"""

import time

from vidworld.core.config import parse_command_line, resolved
from vidworld.core.errors import run_script
from vidworld.core.records import prepare_folder
from vidworld.models.schema import AdoptConfig
from vidworld.training.finished import data_sources, is_finished

AT_ONCE = 8


def main() -> None:
    config, _ = parse_command_line(AdoptConfig, description=__doc__)
    sources = data_sources(config.data)
    if is_finished(config, sources):
        return

    # --- imported now: what is done, or wrong, was said without waiting for torch ---
    from accelerate import Accelerator
    from tqdm import tqdm

    from vidworld.models.files import check_finite, save_model
    from vidworld.models.tokenizers.video_vae import PretrainedAutoencoder
    from vidworld.training.data import Mixture
    from vidworld.training.optimiser import count_parameters

    started_s = time.monotonic()
    tokenizer = PretrainedAutoencoder.adopt(config.pretrained)
    shape = config.data.shape
    tokenizer.grid_of(shape.num_frames, shape.height_px, shape.width_px)  # says so where the clips do not fit
    tokenizer = tokenizer.to(Accelerator().device)
    clips = Mixture(config.data)
    numbers = range(min(config.clips, len(clips)))
    batches = [numbers[start : start + AT_ONCE] for start in range(0, len(numbers), AT_ONCE)]
    shown = tqdm(batches, desc=str(config.out), unit="batch", disable=None)
    tokenizer.fit_statistics(clips.frames(batch) for batch in shown)
    check_finite(tokenizer, config.out)
    prepare_folder(config.out)
    record = {
        "config": resolved(config),
        "parameters": count_parameters(tokenizer),
        "steps": 0,
        "clips_seen": 0,
        "training_flops": 0,
        "seconds": round(time.monotonic() - started_s, 1),
        **sources,
    }
    save_model(tokenizer, config.out, record)
    print(f"{config.out}: {config.pretrained} with the statistics of {len(numbers)} clips")


if __name__ == "__main__":
    run_script(main)
