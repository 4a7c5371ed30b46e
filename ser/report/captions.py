"""What every figure and table is called, and what to look for in it, in the order of the pages.

What a run logs as ``figures/NAME.png`` or ``tables/NAME.csv`` has its entry here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Caption:
    """Words around a figure or a table.

    Attributes
    ----------
    text : str
        What it shows, and what to look for.
    title : str
        Its name in words, unless given.
    each : bool
        Whether a run may have several, ``NAME_WHAT``: one for each part, parameter or clip.
    own_section : bool
        Whether a run's page shows what is in it elsewhere.
    """

    text: str = ""
    title: str = ""
    each: bool = False
    own_section: bool = False


FIGURES = {
    "confusion_matrix": Caption(
        "Percent of each true emotion's clips (and clips) by what was predicted: true emotions in "
        "rows.",
        each=True,
        own_section=True,
    ),
    "variants": Caption(
        "Test UAR of the variants with their 95 % intervals; the dotted line is chance."
    ),
    "sweep": Caption("Test UAR of the sweep's configs, mean and standard deviation over seeds."),
    "breakdown": Caption(
        "Accuracy by each known property of the clips, with 95 % intervals and numbers of clips; "
        "diamonds are human listeners, if the corpus has their scores."
    ),
    "feature_importance": Caption(
        "UAR lost when features are shuffled among each actor's test clips, with 95 % intervals"
        " over actors."
    ),
    "learning_curve": Caption(
        "What more training data would gain. If the line of the held-out folds is flat, more "
        "data of the same kind will not help; the gap between the lines is overfitting."
    ),
    "validation_curve": Caption(
        "Accuracy for each value of one parameter. Where the line of training clips rises and "
        "that of the held-out folds falls, the model overfits.",
        each=True,
    ),
    "roc": Caption(
        "Each emotion against the rest, for every threshold on its probability. An area of 0.5 is "
        "chance.",
        title="ROC",
    ),
    "precision_recall": Caption(
        "Each emotion against the rest: of the clips that are called so, how many are "
        "(precision), against how many are found (recall). The dotted lines are what guessing "
        "reaches; average precision is the area below the steps.",
        title="Precision and recall",
    ),
    "reliability": Caption(
        "Whether the probabilities can be believed: points on the diagonal are as often right as "
        "they say. The fewer clips a bin has, the smaller its point and the longer its interval."
    ),
    "loss_curve": Caption(
        "Training loss after each epoch of the final fit, and that of clips held out to stop by, "
        "where there were some."
    ),
    "permutations": Caption(
        "UAR after the emotions were shuffled among the clips: it must fall to chance; "
        "otherwise test clips leak into training."
    ),
    "class_balance": Caption(
        "Clips of every emotion. Where the bars differ, accuracy flatters a model that prefers "
        "the common emotions; UAR does not.",
        each=True,
    ),
    "uar_by_actor": Caption(
        "UAR of each actor's clips in every run: what the test compares.", title="UAR by actor"
    ),
    "accuracy_by_actor": Caption(
        "Accuracy of each actor's clips in every run: what the test compares."
    ),
    "optimization_history": Caption(
        "Score of each trial, and the best so far, on training clips only."
    ),
    "intermediate_values": Caption("Scores of each trial fold by fold, or epoch by epoch."),
    "slice": Caption("Score against each parameter, a dot for each trial."),
    "parallel_coordinate": Caption("Each line is a trial, through its parameters to its score."),
    "importance_fanova": Caption(
        "Which parameters change the score most, over the whole space (fANOVA).",
        title="Importance (fANOVA)",
    ),
    "importance_ped_anova": Caption(
        "Which parameters decide whether a trial is in the best tenth (PED-ANOVA).",
        title="Importance (PED-ANOVA)",
    ),
    "contour": Caption(
        "Score of each trial over the two parameters that matter most; where both are numbers, it "
        "is interpolated between the trials."
    ),
    "waveforms": Caption(
        "Air pressure over time: how loud each moment is. Look at how high the peaks are, how "
        "long the speech takes, and how much silence surrounds it.",
        title="Waveform",
        each=True,
    ),
    "spectrograms": Caption(
        "How much power there is at each frequency and moment. Horizontal stripes are the "
        "harmonics of a voiced sound: the further apart, the higher the voice. Hisses such as /s/ "
        "are clouds above 4000 Hz. An aroused voice has more power up there.",
        title="STFT power spectrogram",
        each=True,
    ),
    "mel_spectrograms": Caption(
        "The same on the ear's scale, which takes high frequencies together: 128 mel bands. Their "
        "means over time are the tutorial's mel features.",
        title="Mel spectrogram",
        each=True,
    ),
    "mfccs": Caption(
        "The shape of each moment's mel spectrum in a few numbers: low coefficients for its broad "
        "shape, high ones for detail. The first (loudness) is left out, as it is many times "
        "larger. Steady columns are vowels, changes are consonants.",
        title="MFCCs",
        each=True,
    ),
    "chromagrams": Caption(
        "Power gathered into the twelve pitch classes of music, whatever the octave. In speech it "
        "follows the melody roughly; where it is silent, it shows noise scaled up.",
        title="Chromagram",
        each=True,
    ),
    "contours": Caption(
        "Above, the pitch of the voiced moments (YIN): the melody of the sentence. Below, the "
        "level of every moment. Look at the height, the range and the movement of both: a voice "
        "that is aroused is higher and louder.",
        title="F0 and energy contours",
        each=True,
    ),
    "spoken": Caption(
        "Boxes hold half of the clips, whiskers nine tenths, the line is the median. Emotions "
        "whose boxes do not overlap can mostly be told apart by this number alone. Where gender "
        "is known each has boxes of its own, as voices differ in F0 before they feel anything.",
        title="Pitch, energy and duration by emotion",
    ),
    "correlation": Caption(
        "Red: two features rise together, such as neighbouring mel bands. Blue: one rises as "
        "the other falls. A group of features that rise together dominates a distance.",
        title="Correlation of the features",
    ),
    "ranking": Caption(
        "First, how much one feature alone tells of the emotion; neighbours in the list often say "
        "the same. Second, every feature: how much of its variance lies between emotions, and "
        "how much between actors. What is above the dotted line tells who speaks rather than how.",
        title="What a feature tells by itself",
        each=True,
    ),
    "map_t-sne": Caption(
        "Each dot is a clip; clips that sound alike to the features are near. Where islands are "
        "of one actor, and the same islands are of all emotions, the features know the speaker "
        "better than the emotion. A model tested on actors that it has heard profits from that. "
        "Distances between islands mean little.",
        title="Map of the clips: t-SNE",
        each=True,
    ),
    "map_umap": Caption(
        "As t-SNE, by another method that keeps more of the distances between islands.",
        title="Map of the clips: UMAP",
        each=True,
    ),
    "map_pca": Caption(
        "The two directions in which the clips differ most, and nothing bent. Clips that lie far "
        "out are drawn at the edge.",
        title="Map of the clips: PCA",
        each=True,
    ),
    "layers": Caption(
        "Score for emotion and for speaker, from each layer of the encoder alone, on the "
        "training clips. A model on a layer that identifies the actor may rely on the voice.",
        title="What each layer tells",
    ),
    "neighbours": Caption(
        "The leak as a number: how often a clip's nearest clips have the same actor, or the same "
        "emotion. The last bars leave out the clip's own actor, as a test on unheard actors does: "
        "what remains above chance is what the features know of emotion in a new voice.",
        title="Whose clips are near",
    ),
    "loudness": Caption(
        "Median and quartiles of the clips' level. Where actors differ as much as emotions do, "
        "loudness tells who was recorded how, and misleads a model on a new voice.",
        title="Level of each actor's speech",
    ),
    "check_robustness": Caption(
        "UAR that the model loses on altered clips. The dotted line is the limit.",
        title="UAR lost on altered clips",
    ),
    "check_flips": Caption(
        "Clips whose answer changes when they are altered. The dotted line is the limit.",
        title="Answers that flip",
    ),
    "check_sets": Caption(
        "Each point is a speaker: how often the sets of answers hold the right emotion, against "
        "how many emotions they hold. A low point on the left is a speaker of whom the model is "
        "sure and wrong.",
        title="Sets of answers by speaker",
    ),
    "check_new_speaker": Caption(
        "What a model gains by hearing unlabelled clips of a new speaker.",
        title="Clips of a new speaker",
    ),
}

TABLES = {
    "chosen_layers": Caption(
        "Every candidate that a fold tried, its UAR on held-out training actors, and which one "
        "it chose; or the weight that it learned for each layer.",
        title="Layers that the folds chose",
    ),
    "layers": Caption(
        "Scores of each layer alone on the training clips: emotion for held-out actors, and "
        "actor for held-out clips. Nothing was chosen by them."
    ),
    "predictions": Caption(
        "Every prediction on a held-out clip, with the probability of each emotion.",
        own_section=True,
    ),
    "per_class": Caption(
        "Precision, recall, F1 and clips of every emotion, over the test clips.", own_section=True
    ),
    "breakdown": Caption(
        "Accuracy and UAR for every value of each known property of the test clips.",
        own_section=True,
    ),
    "confusion_matrix": Caption(
        "Clips of each true emotion by what was predicted, for every part.", own_section=True
    ),
    "reliability": Caption(
        "Test clips, mean confidence and accuracy in every bin of confidence.", own_section=True
    ),
    "variants": Caption(
        "Every variant's scores; transductive and pretrained ones (column kind) come last."
    ),
    "sweep": Caption(
        "Mean and standard deviation of the scores over seeds, the best config first."
    ),
    "jobs": Caption("What each job of the sweep varied, its state, and the scores of its run."),
    "comparison": Caption(
        "Every pair of runs: the difference of their scores (the second minus the first), and "
        "sign-flip permutation tests over actors, the p-values corrected after Holm."
    ),
    "uar_by_actor": Caption("UAR of each actor's clips in every run.", title="UAR by actor"),
    "accuracy_by_actor": Caption("Accuracy of each actor's clips in every run."),
    "chosen": Caption(
        "What the search inside each outer fold chose, and its cross-validated score."
    ),
    "trials": Caption("State, score, cost and parameters of every trial of the study."),
    "feature_importance": Caption(
        "UAR lost without each group of features, and without each feature, with 95 % intervals "
        "over actors."
    ),
    "learning_curve": Caption(
        "Accuracy on training clips and on the held-out fold, for every size and fold."
    ),
    "validation_curve": Caption(
        "Accuracy on training clips and on the held-out fold, for every value and fold.", each=True
    ),
    "permutations": Caption("Test UAR after each shuffling of the emotions."),
    "skipped_clips": Caption("Clips that could not be used, and why."),
    "left_out_clips": Caption("Emotions that only one of the two corpora has."),
    "class_balance": Caption("Clips of every emotion, by gender where it is known."),
    "feature_statistics": Caption(
        "Least, largest, mean and deviation of each group of features, raw and scaled."
    ),
    "feature_ranking": Caption("What each feature alone tells of the emotion, and of the actor."),
    "feature_correlation": Caption("Pearson's correlation of every pair of features."),
    "map": Caption("Coordinates of each clip on the maps."),
    "neighbours": Caption(
        "How often a clip's nearest clips have the same actor or emotion, against chance."
    ),
    "spoken": Caption(
        "Quantiles of pitch, energy and duration by emotion, and by gender where it is known."
    ),
    "clip_quality": Caption(
        "Channels, sampling rate, level, silence, voice and copies of every clip's recording."
    ),
    "findings": Caption("What to know of the recordings: each issue, and how many clips have it."),
    "loudness": Caption(
        "Quartiles of the level of each actor's speech (dBFS), the quietest first."
    ),
    "check": Caption("Everything a check found: value, 95 % interval, limit and verdict."),
    "told_by_recording": Caption(
        "UAR of a small tree that knows only how clips were recorded, on actors it does not know.",
        title="Told by the recording",
    ),
}


def caption_of(captions: Mapping[str, Caption], name: str) -> Caption:
    """The entry of a figure or a table, with its title.

    >>> caption_of(FIGURES, "validation_curve_classifier.C").title
    'Validation curve: classifier.C'

    Raises
    ------
    KeyError
        If it has none.
    """
    stem = stem_of(captions, name)
    caption = captions[stem]
    title = caption.title or stem.replace("_", " ").capitalize()
    what = name.removeprefix(stem)[1:]
    return replace(caption, title=f"{title}: {what}" if what else title)


def in_order(captions: Mapping[str, Caption], names: Iterable[str]) -> dict[str, Caption]:
    """Captions of what a run has, in the registry's order.

    What an older or a newer ser logged and is not known here comes last, under its own name.
    """
    order = list(captions)
    names = set(names)
    known = {name for name in names if stem_of(captions, name) in captions}
    ordered = sorted(known, key=lambda name: (order.index(stem_of(captions, name)), name))
    both = {name: caption_of(captions, name) for name in ordered}
    return both | {name: caption_of({name: Caption()}, name) for name in sorted(names - known)}


def stem_of(captions: Mapping[str, Caption], name: str) -> str:
    """The entry's name: without what a figure of several is of."""
    several = (stem for stem, caption in captions.items() if caption.each)
    stem = next((stem for stem in several if name.startswith(f"{stem}_")), name)
    return name if name in captions else stem
