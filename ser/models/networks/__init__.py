"""Networks on log-mel spectrograms, in PyTorch: scikit-learn classifiers like all others.

PyTorch is the extra ``pip install 'ser[deep]'`` and is loaded when a network is fitted or used.
"""
