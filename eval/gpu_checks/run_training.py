"""Run a training script as a user would, then say on what it ran: python run_training.py [--exact] SCRIPT ARGUMENTS

--exact: with deterministic algorithms, so that two trainings on one device agree to the bit.
"""

import json
import runpy
import sys

import torch


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[0] == "--exact":
        arguments = arguments[1:]
        torch.use_deterministic_algorithms(True)
    sys.argv = arguments
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as ended:
        if not ended.code:
            from accelerate.state import AcceleratorState  # as the script has imported it by now

            state = AcceleratorState()
            ran = {"device": state.device.type, "distributed": state.distributed_type.value}
            print(f"\n{json.dumps(ran | {'precision': state.mixed_precision})}", flush=True)
        raise


if __name__ == "__main__":
    main()
