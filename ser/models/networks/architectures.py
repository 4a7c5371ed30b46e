"""Networks: (n_clips, n_frames, n_mels) -> (n_clips, n_classes) logits.

Any `torch.nn.Module` is one whose ``__init__`` takes `n_mels` and `n_classes` by keyword, and
whatever else a config gives it. Without PyTorch the module can be imported, but no network made.
"""

from __future__ import annotations

try:
    import torch
    from torch import nn
    from torch.nn import Module
except ImportError:  # the extra ser[deep] is not installed
    Module = object  # type: ignore[assignment, misc]


class Convolutions(Module):
    """Blocks of convolution, batch normalisation, ReLU and pooling by two.

    (n_clips, n_frames, n_mels) -> (n_clips, channels, n_frames', n_mels').

    Parameters
    ----------
    channels : list of int
        Of each block.
    time_pools : int
        Blocks that pool over time too; all pool over frequency.
    """

    def __init__(self, channels: list[int], *, time_pools: int) -> None:
        super().__init__()
        blocks: list[Module] = []
        for i, (before, after) in enumerate(zip([1, *channels], channels, strict=False)):
            blocks += [
                nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d((2 if i < time_pools else 1, 2)),
            ]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps."""
        return self.blocks(x.unsqueeze(1))


class Attention(Module):
    """Mean over time with learned weights: (n_clips, n_steps, width) -> (n_clips, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weighted mean."""
        return (torch.softmax(self.score(x), dim=1) * x).sum(dim=1)


class CNN(Module):
    """Four blocks of convolution; mean and maximum over time and frequency.

    Parameters
    ----------
    n_mels, n_classes : int
    width : int
        Channels of the first layer; others are multiples.
    dropout : float
        In [0, 1).
    """

    def __init__(
        self, *, n_mels: int, n_classes: int, width: int = 16, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.convolutions = Convolutions([width, 2 * width, 4 * width, 4 * width], time_pools=4)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(8 * width, n_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        maps = self.convolutions(x)
        return self.head(torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1))


class LSTM(Module):
    """Bidirectional LSTM over frames, two at a time; attention over time.

    Parameters: see `CNN`.
    """

    def __init__(
        self, *, n_mels: int, n_classes: int, width: int = 16, dropout: float = 0.3
    ) -> None:
        super().__init__()
        size = 4 * width
        self.stem = nn.Sequential(
            nn.Conv1d(n_mels, size, kernel_size=5, stride=2, padding=2),
            nn.BatchNorm1d(size),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.lstm = nn.LSTM(size, size, batch_first=True, bidirectional=True)
        self.attention = Attention(2 * size)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * size, n_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        steps = self.stem(x.transpose(1, 2)).transpose(1, 2)
        return self.head(self.attention(self.lstm(steps)[0]))


class CRNN(Module):
    """Three blocks of convolution, then a bidirectional LSTM and attention over time.

    Parameters: see `CNN`.
    """

    def __init__(
        self, *, n_mels: int, n_classes: int, width: int = 16, dropout: float = 0.3
    ) -> None:
        super().__init__()
        size = 4 * width
        self.convolutions = Convolutions([width, 2 * width, 4 * width], time_pools=2)
        self.lstm = nn.LSTM(size * (n_mels // 8), size, batch_first=True, bidirectional=True)
        self.attention = Attention(2 * size)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * size, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        steps = self.convolutions(x).transpose(1, 2).flatten(start_dim=2)
        return self.head(self.dropout(self.attention(self.lstm(self.dropout(steps))[0])))
