"""What measures on a GPU, exercised on a CPU with a tiny budget."""

import importlib.util
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def on_gpu():
    spec = importlib.util.spec_from_file_location("on_gpu", ROOT / "benchmarks" / "on_gpu.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "on_gpu", module)
        spec.loader.exec_module(module)
        yield module


def test_a_tiny_budget_stops_it_and_leaves_no_figure(on_gpu, tmp_path, capsys):
    out = tmp_path / "results"
    where = ["--out", str(out), "--runs", str(tmp_path / "runs")]
    assert on_gpu.main(["--device", "cpu", "--minutes", "0.02", *where]) == 1
    told = capsys.readouterr().out
    assert "not done: speed, laptop, dai-wipf-1, mnist, laptop" in told
    assert "full, mnist, full, fashion, full, cifar10; the same command" in told
    assert not list(out.rglob("*.json"))


def test_what_has_a_figure_is_passed_by_and_the_rest_goes_on(on_gpu, tmp_path, capsys):
    def step(name, code, file=None):
        return on_gpu.Step(name, ("-c", code), file)

    done, slow = tmp_path / "done.json", tmp_path / "slow.json"
    write = f"import pathlib; pathlib.Path({str(done)!r}).write_text('1')"
    saves = (
        "import pathlib, time\ntry: time.sleep(60)\n"
        f"except KeyboardInterrupt: pathlib.Path({str(slow)!r}).write_text('saved'); raise"
    )
    todo = [step("first", write, done), step("slow", saves), step("last", "pass")]
    started = time.monotonic()
    assert on_gpu.run(todo, 0.15) == ["slow", "last"]
    assert time.monotonic() - started < 60 and slow.read_text() == "saved"
    done.write_text("kept")
    assert on_gpu.run([todo[0], todo[2]], 0.5) == [] and done.read_text() == "kept"
    assert "first: has its figures" in capsys.readouterr().out
    assert on_gpu.run([step("broken", "raise SystemExit(3)")], 0.5) == ["broken"]


def test_the_paper_is_measured_where_its_judge_is_at_hand(on_gpu, tmp_path):
    weights = tmp_path / "inception.safetensors"
    named = [s.name for s in on_gpu.steps("cuda", tmp_path, tmp_path, weights)]
    assert named[0] == "speed" and len([n for n in named if n.startswith("laptop, ")]) == 10
    assert named[-4:] == ["full, mnist", "full, fashion", "full, cifar10", "paper, mnist"]
    assert "paper, mnist" not in [s.name for s in on_gpu.steps("cuda", tmp_path, tmp_path)]
    with pytest.raises(SystemExit):
        on_gpu.main(["--weights", str(weights)])
