"""Recordings and what is known of them: audio files, corpora, clip tables and splits."""
