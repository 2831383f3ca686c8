from __future__ import annotations

import re
import subprocess

from runscaler.ops.demo_jobs import JOB_KINDS, make_jobs
from runscaler.ops.demo_rootfs import SHELL_TOOLS


def test_the_same_seed_gives_the_same_jobs():
    assert make_jobs(20, 1) == make_jobs(20, 1)
    assert make_jobs(20, 1) != make_jobs(20, 2)


def test_half_of_the_jobs_are_queued_at_once_and_the_rest_in_order():
    times = [job.at for job in make_jobs(21, 3)]

    assert times[:11] == [0.0] * 11
    assert times == sorted(times)
    assert len(times) == 21


def test_a_single_job_is_queued_at_once():
    (job,) = make_jobs(1, 1)

    assert job.at == 0.0


def test_every_kind_of_job_succeeds_in_a_fresh_directory(tmp_path):
    for job in make_jobs(len(JOB_KINDS), 1):
        work = tmp_path / job.name
        work.mkdir()
        for name, script in job.steps:
            ended = subprocess.run(
                ["sh", "-e", "-c", script], cwd=work, capture_output=True, text=True, timeout=60
            )

            assert ended.returncode == 0, (job.name, name, ended.stderr)
            assert ended.stdout or name == "checkout"


def test_a_checkout_fails_in_a_directory_of_an_earlier_job(tmp_path):
    job = make_jobs(1, 1)[0]
    (tmp_path / "app.txt").touch()

    ended = subprocess.run(
        ["sh", "-c", job.steps[0][1]], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 1
    assert "not fresh" in ended.stdout


def test_steps_use_only_what_the_demo_s_image_has():
    used = {
        word
        for job in make_jobs(len(JOB_KINDS), 1)
        for _, script in job.steps
        for word in re.findall(r"(?:^|[;&|(]|do) *([a-z]+)", script, re.MULTILINE)
    }

    assert used - {"echo", "printf", "exit", "for", "do", "done", "test"} <= set(SHELL_TOOLS)
