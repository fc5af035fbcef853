"""A world model of your own: the template of docs/your_model.md."""

import torch


class MyWorld:
    """Repeats the last frame with a little noise; is surprised by what moves.

    Either method may be missing: without `predict` a model is measured by surprise alone, without `surprise` by
    rollouts alone. It is made without arguments: read paths from the environment, load weights in __init__.
    """

    def predict(self, context, num_frames, seeds):
        """uint8 frames (clip, num_frames, 3, height, width) after context.frames, which are the same, but earlier.

        context.fps is their rate, seeds holds one number for each clip for whatever is drawn at random.
        """
        last = context.frames[:, -1:].float().expand(-1, num_frames, -1, -1, -1)
        shape = last.shape[1:]
        noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds])
        return (last + noise).clamp(0, 255).round().to(torch.uint8)

    def surprise(self, clips, context_frames, seeds):
        """Float (clip, frame after the context): how badly each true frame is predicted from the true ones before it.

        Clips of equal seed are compared with each other: draw the same noise for them.
        """
        frames = clips.frames.float() / 255
        change = (frames[:, 1:] - frames[:, :-1]).square().mean(dim=(2, 3, 4))
        return change[:, context_frames - 1 :]
