"""Files that are damaged, forged or half written: refused by name, quickly, in little memory."""

import json
import multiprocessing
import os
import pickle
import socket
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import fuzz_load
import numpy as np
import pytest
import torch
from small import FAST, small

import skpoe
from skpoe import MVAE, MultimodalFactorAnalysis
from skpoe.io import FileFormatError
from skpoe.io.container import MOST_HEADER, read, to_bytes

X = [np.random.default_rng(m).normal(size=(20, w)) for m, w in enumerate((2, 1))]


@pytest.fixture(scope="module")
def fa():
    return MultimodalFactorAnalysis(latent_dim=1, random_state=0).fit(X)


@pytest.fixture(scope="module")
def vae():
    return small(MVAE, **{**FAST, "hidden_layer_sizes": (3,), "warm_start": True}).fit(X)


def with_header(header, body=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(header).to_bytes(8, "little") + header + body


def with_document(document, entries=None, body=b""):
    return with_header({"__metadata__": {"skpoe": json.dumps(document)}, **(entries or {})}, body)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("/tmp/skpoe-was-here",)


def zip_bomb():
    import io

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../model.skpoe", bytes(10**8))
    return made.getvalue()


def torch_file():
    import io

    made = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, made)
    return made.getvalue()


def table(**changed):
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changed}
    return with_document({"schema": 1}, {"model.a": entry}, bytes(8))


FOREIGN = {
    "nothing": (b"", "it has 0 bytes, and a header of 0 does not fit in it"),
    "a few bytes": (b"skpoe", "it has 5 bytes"),
    "a pickle": (pickle.dumps(Bomb()), "does not fit in it; it is no skpoe file"),
    "a zip bomb": (zip_bomb(), "does not fit in it; it is no skpoe file"),
    "a file of torch": (torch_file(), "does not fit in it; it is no skpoe file"),
    "100 GB of header": (
        (10**11).to_bytes(8, "little") + bytes(99),
        "a header of 100,000,000,000 does not fit in it",
    ),
    "a header of all ones": (b"\xff" * 99, "does not fit in it"),
    "a large header": (
        with_header(b" " * (MOST_HEADER + 1)),
        "its header has 8,388,609 bytes, and at most 8,388,608 are read",
    ),
    "a deep header": (with_header(b"[" * 300_000), "its header is not JSON that can be read"),
    "many parts": (with_header(b"[" + b"{}," * 500_000 + b"{}]"), "it has too many parts"),
    "long numbers": (with_header(b'{"a":' + b"9" * 10**6 + b"}"), "its header is not JSON"),
    "a name twice": (with_header(b'{"a":1,"a":2}'), "a name stands there twice"),
    "not a number": (with_header(b'{"a":NaN}'), "NaN is not JSON"),
    "too large a number": (with_header(b'{"a":1e999}'), "Out of range float values"),
    "a list": (with_header(b"[1, 2]"), "it is no object"),
    "bytes that are no text": (with_header(b"\xff\xfe\xff\xfe"), "its header is not JSON"),
    "safetensors of others": (with_header({"__metadata__": {"format": "pt"}}), "did not write it"),
    "a document that is a list": (
        with_header({"__metadata__": {"skpoe": [1]}}),
        "it is a safetensors file, but est.save did not write it",
    ),
    "half a surrogate": (
        with_header({"__metadata__": {"skpoe": "\ud800"}}),
        "its document is not text",
    ),
    "a deep document": (
        with_header({"__metadata__": {"skpoe": "[" * 200_000}}),
        "its document is not JSON that can be read",
    ),
    "a newer schema": (
        with_document({"schema": 2}),
        "it is of schema 2, and this version reads up to 1; a newer skpoe may read it",
    ),
    "no schema": (with_document({}), "it is of schema None"),
    "another dtype": (table(dtype="F8_E4M3"), "tensor 'model.a' has the dtype F8_E4M3"),
    "a negative place": (table(data_offsets=[-8, 0]), "has no shape and place within the file"),
    "a place beyond the end": (table(data_offsets=[0, 2**62]), "no shape and place within"),
    "a place that is too short": (table(data_offsets=[0, 4]), "does not take the bytes of its"),
    "a shape that overflows": (table(shape=[2**40, 2**40]), "has no shape and place within"),
    "a shape of truth": (table(shape=[True, 2]), "has no shape and place within the file"),
    "an entry more": (table(more=1), "tensor 'model.a' has no dtype, shape and place"),
    "bytes at the end": (
        with_document({"schema": 1}, body=bytes(9)),
        "its tensors take 0 bytes, but 9 are there",
    ),
    "tensors in one place": (
        with_document(
            {"schema": 1},
            {n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in "ab"},
            bytes(16),
        ),
        "its tensors cannot be read",
    ),
    "a hole": (
        with_document(
            {"schema": 1},
            {
                "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
            },
            bytes(8),
        ),
        "its tensors cannot be read",
    ),
    "no digest": (with_document({"schema": 1}), "it does not hold what was saved: it is damaged"),
}


@pytest.mark.parametrize(("data", "message"), FOREIGN.values(), ids=FOREIGN)
def test_what_save_did_not_write(data, message, tmp_path):
    path = tmp_path / "model.skpoe"
    path.write_bytes(data)
    with pytest.raises(FileFormatError) as error:
        skpoe.load(path)
    assert str(error.value).startswith(f"'{path}' cannot be loaded: ")
    assert message in str(error.value)
    assert not Path("/tmp/skpoe-was-here").exists()


def _set(path, value):
    def change(document, tensors):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


def _drop(*path):
    def change(document, tensors):
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


def _tensor(name, value):
    def change(document, tensors):
        tensors[name] = value(tensors[name]) if callable(value) else value

    return change


WEIGHT = "model.decoders.networks.0.0.weight"
FORGED = {
    "another class": (_set(["estimator"], "Popen"), "'Popen' is no estimator of this library"),
    "a path as a class": (_set(["estimator"], "../../etc/passwd"), "is no estimator of this"),
    "a missing part": (_drop("layout"), "its document should have"),
    "an unknown parameter": (
        _set(["parameters", "shell"], "ls"),
        "MVAE has no parameters ['shell']",
    ),
    "a missing parameter": (_drop("parameters", "beta"), "does not say the parameters ['beta']"),
    "a wrong parameter": (_set(["parameters", "beta"], -1.0), "The 'beta' parameter of MVAE"),
    "an import": (
        _set(["parameters", "encoder"], {"import": "os:system"}),
        "it names 'os:system'",
    ),
    "an unknown kind": (_set(["parameters", "encoder"], {"eval": "1"}), "'eval' is no kind of"),
    "an unknown object": (
        _set(["parameters", "encoder"], {"object": ["subprocess.Popen", {}, {}]}),
        "'subprocess.Popen' is no class that files may name",
    ),
    "an unknown likelihood": (
        _set(["likelihoods", 0, 0, "object", 0], "likelihoods.Cauchy"),
        "'likelihoods.Cauchy' is no class that files may name",
    ),
    "a prior as likelihood": (
        _set(
            ["likelihoods", 0, 0], {"object": ["priors.StandardGaussian", {"latent_dim": 2}, {}]}
        ),
        "is no likelihood",
    ),
    "a dtype that is none": (
        _set(["layout", "codings"], {"tuple": [[{"dict": [["dtype", {"dtype": "O8"}]]}]]}),
        "'O8' is no dtype that files may name",
    ),
    "other widths": (_set(["layout", "widths"], {"tuple": [2, 2]}), "a likelihood has other"),
    "huge widths": (_set(["layout", "widths"], {"tuple": [2, 10**15]}), "more features than"),
    "a huge layer": (
        _set(["parameters", "hidden_layer_sizes"], {"tuple": [10**9]}),
        "its parameters ask for more memory than its numbers account for",
    ),
    "a million layers": (
        _set(["parameters", "hidden_layer_sizes"], {"tuple": [1] * 10**6}),
        "its parameters ask for more memory than its numbers account for",
    ),
    "another layer": (
        _set(["parameters", "hidden_layer_sizes"], {"tuple": [4]}),
        "of its model is torch.float64 of shape (3, 2), and its parameters ask for",
    ),
    "another activation of no name": (
        _set(["parameters", "activation"], "eval"),
        "The 'activation' parameter of MVAE",
    ),
    "a seed that is text": (_set(["kept", "seed"], "0"), "'seed' of its kept values should be"),
    "a seed of a thousand digits": (_set(["kept", "seed"], 10**1000), "its seed is out of range"),
    "a history of nothing": (_set(["kept", "history"], [1]), "its history is none of a training"),
    "a tensor less": (lambda d, t: t.pop(WEIGHT), f"its model lacks the tensors ['{WEIGHT[6:]}']"),
    "a tensor more": (_tensor("model.shell", torch.ones(1)), "has no place for the tensors"),
    "a tensor of nobody": (_tensor("other", torch.ones(1)), "nobody asks for the tensor 'other'"),
    "a path as a name": (_tensor("../../a", torch.ones(1)), "nobody asks for the tensor"),
    "another dtype": (_tensor(WEIGHT, lambda t: t.float()), "is torch.float32 of shape (3, 2)"),
    "another shape": (
        _tensor(WEIGHT, lambda t: t.T.contiguous()),
        "is torch.float64 of shape (2, 3)",
    ),
    "an optimiser of another shape": (
        _tensor("optimizer.0.exp_avg", torch.zeros(1, dtype=torch.float64)),
        "'exp_avg' of parameter 0 of the optimiser should be of shape",
    ),
    "an optimiser of more": (
        _tensor("optimizer.999.step", torch.zeros(())),
        "The optimiser has no parameter 999",
    ),
    "an optimiser of words": (_tensor("optimizer.a.b", torch.ones(1)), "the optimiser has no"),
}


@pytest.mark.parametrize(("change", "message"), FORGED.values(), ids=FORGED)
def test_what_was_changed_and_signed_anew(change, message, vae, tmp_path):
    path = vae.save(tmp_path / "model.skpoe")
    document, tensors = read(path)
    change(document, tensors)
    path.write_bytes(to_bytes(document, tensors))
    with pytest.raises(FileFormatError) as error:
        skpoe.load(path)
    assert message in str(error.value)


def test_levels_that_do_not_exist(tmp_path):
    est = MVAE(likelihood="categorical", latent_dim=1, max_iter=1).fit(np.eye(6)[:, :2])
    path = est.save(tmp_path / "model.skpoe")
    document, tensors = read(path)
    tensors["model.likelihoods.0._slots"] += 10**6
    path.write_bytes(to_bytes(document, tensors))
    with pytest.raises(FileFormatError, match=r"'likelihoods.0._slots' .* has wrong numbers"):
        skpoe.load(path)


def test_every_truncation_and_every_flipped_bit(fa, tmp_path):
    data = fa.save(tmp_path / "model.skpoe").read_bytes()
    path = tmp_path / "damaged.skpoe"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(FileFormatError):
            skpoe.load(path)
    rng = np.random.default_rng(0)
    for at in rng.permutation(len(data))[:1000]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            again = skpoe.load(path)
        except FileFormatError:
            continue
        # what JSON does not care about, such as how a letter is written
        np.testing.assert_array_equal(again.transform(X), fa.transform(X))


CHECK = """
import json, resource, sys, time
import skpoe
from skpoe.io import FileFormatError
from skpoe.io.container import MOST_HEADER
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
skpoe.load(sys.argv[1])  # what is imported once is no matter of the file
largest = b"[" + b'"ab",' * (MOST_HEADER // 5 - 1) + b"1]"

def seconds_of_plain():
    began = time.process_time()
    json.loads(largest)
    return time.process_time() - began  # about .2 s

plain = seconds_of_plain()
for path in sys.argv[2:]:
    for trial in range(4):  # a machine that is busy with other things may be slow for a while
        beside = seconds_of_plain() if trial else plain
        began = time.process_time()
        try:
            skpoe.load(path)
        except FileFormatError:
            pass
        else:
            sys.exit(f"{path} was loaded")
        took = time.process_time() - began
        if took < 5 * beside:
            break
    else:
        sys.exit(f"{path} took {took} s, plain JSON {beside}")
more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
sys.exit(0 if more < 200 else f"{more} MB more")
"""


def test_what_is_forged_is_refused_at_once_and_in_200_megabytes(vae, tmp_path):
    paths = [vae.save(tmp_path / "good.skpoe")]
    document, tensors = read(paths[0])
    full = b'"' + b'ab","' * (MOST_HEADER // 5 - 100) + b'"'
    heavy = {
        "strings": with_header(b"[" + full + b"]"),
        "numbers": with_header(b"[" + b"257," * (MOST_HEADER // 4 - 100) + b"1]"),
        "document": with_header(
            {"__metadata__": {"skpoe": "[" + "1.5," * (MOST_HEADER // 5) + "1]"}}
        ),
    }
    for name, changed in FORGED.items():
        values = json.loads(json.dumps(document)), dict(tensors)
        changed[0](*values)
        heavy[name] = to_bytes(*values)
    for data in [*(data for data, _ in FOREIGN.values()), *heavy.values()]:
        paths.append(tmp_path / f"{len(paths)}.skpoe")
        paths[-1].write_bytes(data)
    done = subprocess.run([sys.executable, "-c", CHECK, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_fuzzed_files():
    """A short run of what ``python tests/fuzz_load.py --n 200000`` does."""
    counts, _, failures = fuzz_load.run(800, first=10**9)
    assert not failures
    assert counts["loaded"] > 10
    assert counts["FileFormatError"] > 600


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(call, fa, vae, tmp_path, monkeypatch):
    path = fa.save(tmp_path / "model.skpoe")
    before = path.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left"):
            vae.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.skpoe"]


def test_an_interrupted_write_leaves_the_old_file(fa, vae, tmp_path, monkeypatch):
    path = fa.save(tmp_path / "model.skpoe")
    before = path.read_bytes()

    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            vae.save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_folders_that_take_no_file(fa, tmp_path):
    with pytest.raises(FileNotFoundError):
        fa.save(tmp_path / "none" / "model.skpoe")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        fa.save(tmp_path / "file" / "model.skpoe")
    with pytest.raises(IsADirectoryError):
        fa.save(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_only_be_read(fa, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            fa.save(tmp_path / "model.skpoe")
    finally:
        tmp_path.chmod(0o700)


def test_a_file_system_that_may_only_be_read(fa, tmp_path, monkeypatch):
    """As root: what the system says where nothing may be made."""

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        fa.save(tmp_path / "model.skpoe")
    assert not list(tmp_path.iterdir())


def test_who_may_read_it_is_as_the_umask_says(fa, tmp_path):
    before = os.umask(0o027)
    try:
        path = fa.save(tmp_path / "model.skpoe")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_goes_on_leading_to_the_file(fa, tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "model.skpoe"
    link.symlink_to(tmp_path / "real" / "model.skpoe")
    fa.save(link)
    assert link.is_symlink()
    np.testing.assert_array_equal(skpoe.load(link).transform(X), fa.transform(X))


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        skpoe.load(tmp_path / "none.skpoe")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        skpoe.load(tmp_path)
    for path in (tmp_path / "pipe", "/dev/zero"):
        began = time.perf_counter()
        with pytest.raises(FileFormatError, match="is no regular file"):
            skpoe.load(path)
        assert time.perf_counter() - began < 1


def _save_often(est, path, times):
    for _ in range(times):
        est.save(path)


def test_two_processes_that_write_the_same_file(fa, vae, tmp_path):
    path = fa.save(tmp_path / "model.skpoe")
    wholes = {fa.save(tmp_path / "a").read_bytes(), vae.save(tmp_path / "b").read_bytes()}
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_save_often, args=(e, path, 20)) for e in (fa, vae)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in wholes
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert path.read_bytes() in wholes
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b", "model.skpoe"]


def test_no_network(fa, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    skpoe.load(fa.save(tmp_path / "model.skpoe"))


def test_limits_hold_for_what_is_saved_too(tmp_path):
    """A file that could not be loaded is not written."""
    import pandas as pd

    frame = pd.DataFrame(np.eye(4, 2), columns=["a" * MOST_HEADER, "b"])
    est = MultimodalFactorAnalysis(latent_dim=1).fit(frame)
    with pytest.raises(ValueError, match="Give columns shorter names"):
        est.save(tmp_path / "model.skpoe")
    assert not list(tmp_path.iterdir())


FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("v*-*.skpoe")), ids=lambda p: p.stem)
def test_files_of_every_schema_are_read(path):
    """Beside each file stand rows, with holes, and what the version that wrote it made of them."""
    from fixtures.make import predictions, rows

    wanted = json.loads(path.with_suffix(".json").read_text())
    assert path.stat().st_size < 20_000
    est = skpoe.load(path)
    for name, values in predictions(est, rows(path.stem)).items():
        np.testing.assert_allclose(values, wanted[name], rtol=1e-6, atol=1e-9)


def test_a_header_that_is_too_long_to_be_made_is_told_alike():
    with pytest.raises(ValueError, match="Give columns shorter names"):
        to_bytes({"name": "a" * 110_000_000}, {"x": torch.zeros(1)})
