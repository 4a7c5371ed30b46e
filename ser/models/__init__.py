"""Models: the steps of a scikit-learn Pipeline that learn, and the trained whole of them."""
