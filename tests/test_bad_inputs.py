"""Each mistake is told in words, harms nothing, and stands in a table for users.

``python tests/test_bad_inputs.py > docs/mistakes.md`` writes the table.
"""

import re
import sys
import tempfile
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
from mistakes import MISTAKES
from mistakes.words import FAST, good
from sklearn.exceptions import ConvergenceWarning

from skpoe import MVAE

PAGE = Path(__file__).parent.parent / "docs" / "mistakes.md"
ALL = [mistake for part in MISTAKES.values() for mistake in part]
# some words are scikit-learn's own: those of this version stand in the page
WORDS_OF = "1.9"
HEAD = """# What each mistake is told

What was done, what is raised, and the first sentence of its message; often another follows that
says what to do. A mistake changes nothing: neither the data, nor a fitted estimator, nor a file.
Here `rna` has 3 features and `adt` has 2. `python tests/test_bad_inputs.py > docs/mistakes.md`
writes this page.
"""


def content(X):
    """Take data apart; a sparse matrix also notes what it was asked."""
    if isinstance(X, dict):
        return {name: content(x) for name, x in X.items()}
    return (X.data, X.indices, X.indptr) if hasattr(X, "tocsr") else X


def told(mistake, est, folder):
    """Make a mistake, and give what is raised and its message."""
    X = mistake.data()
    before = joblib.hash(content(X))
    with pytest.raises((Exception, SystemExit)) as info:
        mistake.do(est, X, folder)
    assert joblib.hash(content(X)) == before, "the caller's data were changed"
    return info.type, str(info.value).replace(str(folder), "FOLDER")


def first_sentence(message):
    """Cut a message for the table; options, which have no order, are sorted."""
    message = message.splitlines()[0]
    message = re.match(r".*?(?<![.])[.!?](?=\s+([A-Z]|torch)|$)|.*", message)[0]
    sets = re.compile(r"\{('[^{}:]*')\}")
    message = sets.sub(lambda m: "{" + ", ".join(sorted(m[1].split(", "))) + "}", message)
    return message.replace("|", r"\|").replace("<", "&lt;").strip()


def page(est):
    """Write the table."""
    lines = [HEAD]
    for title, part in MISTAKES.items():
        lines += [f"## {title}", "", "| mistake | raised | is told |", "|---|---|---|"]
        for mistake in part:
            with tempfile.TemporaryDirectory() as folder:
                kind, message = told(mistake, est, Path(folder))
            lines.append(f"| {mistake.what} | `{kind.__name__}` | {first_sentence(message)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def fitted():
    return MVAE(**FAST).fit(good())


@pytest.fixture(scope="module")
def est():
    return fitted()


@pytest.fixture(scope="module")
def latents(est):
    return est.transform(good())


@pytest.mark.parametrize("mistake", ALL, ids=lambda mistake: mistake.what)
def test_a_mistake_is_told_and_harms_nothing(est, latents, mistake, tmp_path):
    kind, message = told(mistake, est, tmp_path)
    assert kind is mistake.error
    for words in mistake.words:
        assert words in message
    assert not list(tmp_path.rglob(".*"))  # half a file
    np.testing.assert_array_equal(est.transform(good()), latents)


def test_there_are_many_and_each_is_another():
    assert len({mistake.what for mistake in ALL}) == len(ALL) >= 60
    assert all(all(mistake.words) and mistake.words for mistake in ALL)


@pytest.mark.skipif(
    not sklearn.__version__.startswith(WORDS_OF), reason="other words of scikit-learn"
)
def test_the_page_is_the_table(est):
    assert PAGE.read_text() == page(est)


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    sys.stdout.write(page(fitted()))
