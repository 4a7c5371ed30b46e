"""The three networks: (n_clips, n_frames, n_mels) -> (n_clips, n_classes) logits."""

from __future__ import annotations

import torch
from torch import nn


class Convolutions(nn.Module):
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
        blocks: list[nn.Module] = []
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


class Attention(nn.Module):
    """Mean over time, weighted by what is said there: (n, time, width) -> (n, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weighted mean."""
        return (torch.softmax(self.score(x), dim=1) * x).sum(dim=1)


class CNN(nn.Module):
    """Four blocks of convolution; mean and maximum over time and frequency."""

    def __init__(self, *, n_mels: int, n_classes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.convolutions = Convolutions([width, 2 * width, 4 * width, 4 * width], time_pools=4)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(8 * width, n_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        maps = self.convolutions(x)
        return self.head(torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1))


class LSTM(nn.Module):
    """Bidirectional LSTM over frames, two at a time; attention over time."""

    def __init__(self, *, n_mels: int, n_classes: int, width: int, dropout: float) -> None:
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


class CRNN(nn.Module):
    """Three blocks of convolution, then a bidirectional LSTM and attention over time."""

    def __init__(self, *, n_mels: int, n_classes: int, width: int, dropout: float) -> None:
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


NETWORKS = {"cnn": CNN, "lstm": LSTM, "crnn": CRNN}
