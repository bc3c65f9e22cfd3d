from nsr.training.run import load_run
from nsr.viewer.follower import RunFollower


def follower_of(watched):
    return RunFollower(watched.folder, load_run(watched.folder), lambda: load_run(watched.folder))


def test_a_new_checkpoint_is_loaded_once(watched):
    follower = follower_of(watched)
    assert not follower.refresh() and follower.run.step == 100
    watched.save(200)
    assert follower.refresh() and follower.run.step == 200
    assert not follower.refresh()


def test_one_that_cannot_be_loaded_leaves_the_last(watched):
    follower = follower_of(watched)
    latest = watched.folder / "checkpoints" / "latest.pt"
    latest.unlink()
    assert not follower.refresh()
    latest.write_bytes(b"half")
    assert not follower.refresh()
    assert follower.run.step == 100 and "cannot be read" in follower.problem
    watched.save(300)
    assert follower.refresh() and follower.run.step == 300 and follower.problem is None


def test_the_first_checkpoint_is_waited_for(watched):
    for path in (watched.folder / "checkpoints").iterdir():
        path.unlink()
    follower = RunFollower(watched.folder, None, lambda: load_run(watched.folder))
    assert not follower.refresh() and follower.run is None and follower.progress() == ""
    watched.save(200)
    assert follower.refresh() and follower.run.step == 200


def test_a_chosen_checkpoint_is_not_left(watched):
    follower = RunFollower(watched.folder, load_run(watched.folder, 100), None)
    watched.save(200)
    assert not follower.refresh() and follower.run.step == 100


def test_the_last_whole_line_of_the_log_is_told(watched):
    follower = follower_of(watched)
    assert follower.progress() == ""
    log = watched.folder / "logs" / "losses.csv"
    log.write_text("step,rgb,psnr\n")
    assert follower.progress() == ""
    lines = "".join(f"{step},0.5,{step / 100}\n" for step in range(0, 20000, 20))
    log.write_text("step,rgb,psnr\n" + lines + "20000,0.")
    assert follower.progress() == "training logged step 19,980, PSNR 199.8 dB"


def test_nothing_of_the_run_is_touched(watched):
    before = {path: path.stat().st_mtime_ns for path in watched.folder.rglob("*")}
    follower = follower_of(watched)
    follower.refresh()
    follower.progress()
    assert {path: path.stat().st_mtime_ns for path in watched.folder.rglob("*")} == before
