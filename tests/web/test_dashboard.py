"""The dashboard in a real Chromium: what it shows, that it stays live, and that anyone can use it."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, expect
from support import dashboard
from support.browser import chromium
from support.dashboard import Watched, busy_slot, having, place, scale_set, with_slots

from runscaler.config.model import HostSettings
from runscaler.events import JobCompleted, JobStarted, RunnerFailed, RunnerStarted
from runscaler.status import Opening, SetState, SlotStatus, Unmet, UnmetDemand
from runscaler.web.live import MAX_STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page, Route

DESK, PHONE = 1440, 390
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
"""Containers of other tests come and go: then Chromium breaks off what it loads."""
HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>"\'`${1}‮'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=60_000)
    with chromium() as made:
        yield made


class Visit:
    """Opens pages, and notes what none of them may do."""

    def __init__(self, browser: Browser, open_: ExitStack) -> None:
        self._browser, self._open = browser, open_
        self.errors: list[str] = []
        self.outside: list[str] = []

    def serve(self, watched: Watched) -> Watched:
        self._open.callback(watched.close)
        return watched

    def __call__(self, watched: Watched, width: int = DESK, scheme: str = "light") -> Page:
        page = self._browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self._open.callback(page.close)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(watched.url) or self.outside.append(asked.url))
        self._go(page, watched.url)
        expect(page.locator("#main[aria-busy=false]")).to_be_attached()
        expect(page.locator("#link")).to_have_attribute("data-link", re.compile("live|polling"))
        page.evaluate("window.notReloaded = true")
        return page

    def _said(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning") and NETWORK_CHANGED not in said.text:
            self.errors.append(said.text)

    def _go(self, page: Page, url: str) -> None:
        """The rest of the page loads itself again where the host's networks change meanwhile."""
        while True:
            try:
                page.goto(url)
                return
            except Error as error:
                if NETWORK_CHANGED not in str(error):
                    raise


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    with ExitStack() as stack:
        made = Visit(browser, stack)
        yield made
        assert made.outside == []
        assert made.errors == []


def violations(page: Page) -> list[str]:
    """What axe-core finds, contrast included; a line for each element."""
    found = Axe().run(page).response["violations"]
    nodes = [(one["id"], node) for one in found for node in one["nodes"]]
    return [f"{rule}: {node['html'][:120]}: {node['failureSummary']}" for rule, node in nodes]


def names(page: Page) -> list[str]:
    return page.locator("#set-list > li .who b").all_inner_texts()


# -- what it shows ------------------------------------------------------------------------------------


def test_an_idle_daemon_says_what_to_do_next(visit):
    page = visit(visit.serve(dashboard.empty()))

    expect(page.locator("#timeline")).to_contain_text("runs-on: linux")
    expect(page.locator("#events-none")).to_have_text("Nothing has happened since the daemon started.")
    expect(page.locator("#overall")).to_have_text("ok")
    expect(page.locator("#tile-runners-more")).to_have_text("of 12 · 0 busy, 0 idle, 0 starting")
    assert names(page) == ["linux", "gpu"]
    assert page.title() == "0 busy, 0 waiting · runscaler"


def test_a_hundred_scale_sets_show_trouble_first_and_fold_the_quiet_ones(visit):
    watched = visit.serve(dashboard.busy(sets=100, slots=1000))
    page = visit(watched)
    total = sum(one.total for one in watched.status.scale_sets)

    expect(page.locator("#tile-runners")).to_have_text(f"{total:,}")
    expect(page.locator("#tile-sets-more")).to_contain_text("1 degraded, 1 failed")
    shown = names(page)
    states = page.locator("#set-list .chip").all_inner_texts()
    assert states[:2] == ["failed", "degraded"]
    assert 3 < len(shown) < 100
    expect(page.locator("#quiet")).to_have_text(f"Show {100 - len(shown)} quiet scale sets")

    page.locator("#quiet").click()
    expect(page.locator("#set-list > li")).to_have_count(100)


def test_the_filter_finds_scale_sets_by_name_and_by_job_and_chooses_the_timeline(visit):
    now = dashboard.SystemClock().wall()
    linux = with_slots(scale_set("linux"), busy_slot(0, "r-1", now - 5, "build"))
    gpu = with_slots(scale_set("gpu"), busy_slot(0, "r-2", now - 5, "train"))
    page = visit(visit.serve(Watched(having(linux, gpu, scale_set("docs")))))

    for words, found in (
        ("gpu", ["gpu"]),
        ("TRAIN", ["gpu"]),
        ("my-org/app build", ["linux"]),
        ("nothing", []),
    ):
        page.locator("#filter").fill(words)
        expect(page.locator("#set-list > li")).to_have_count(len(found))
        assert names(page) == found
    expect(page.locator("#sets-none")).to_have_text("No scale set matches.")
    page.locator("#filter").fill("gpu")
    expect(page.locator("#timeline .lane")).to_have_count(1)
    expect(page.locator("#timeline .lane")).to_contain_text("gpu #0")
    page.get_by_role("radio", name="At work").check()
    page.locator("#filter").fill("")
    expect(page.locator("#set-list > li")).to_have_count(2)


def test_a_degraded_set_says_why_and_when_it_is_tried_again(visit):
    page = visit(visit.serve(dashboard.degraded()))

    expect(page.locator("#overall")).to_have_text("degraded")
    expect(page.locator("#banners")).to_contain_text(
        re.compile("^linux is degraded since [0-9:]{8}: the Docker engine does not answer")
    )
    why = page.locator("#set-list > li").first.locator(".why")
    expect(why).to_contain_text(re.compile("next try in [0-9]+ s"))
    expect(why).to_contain_text(re.compile("; since [0-9:]{8}; next try"))
    expect(why).to_contain_text("4 wanted runners not started, the backend is down")
    expect(why).to_contain_text(re.compile(r"4\sjobs waiting, some since [0-9:]{8}$"))
    expect(page.locator("#tile-queue-more")).to_contain_text(re.compile(r"waiting\ssince\s[0-9:]{8}$"))
    expect(page.locator("#events li").first).to_contain_text("linux is degraded")
    assert page.title().startswith("▲ 1 in trouble")


def test_what_is_short_on_the_host_is_said_with_the_next_look(visit):
    now = dashboard.SystemClock().wall()
    short = UnmetDemand(Unmet.HOST_GUARD, 3, "free disk 9.6 GiB is below min-free-disk 10 GiB", now + 40)
    watched = visit.serve(Watched(having(scale_set(unmet=(short,)))))
    page = visit(watched)

    why = page.locator("#set-list .why")
    expect(why).to_have_text(
        re.compile(
            "^3 wanted runners not started, the host guard holds them back: free disk 9.6 GiB is below "
            "min-free-disk 10 GiB; next look in [0-9]+ s$"
        )
    )
    watched.put(scale_set(unmet=(replace(short, look_at=now - 1),)))
    expect(why).to_contain_text("10 GiB; looking now")
    watched.put(scale_set(unmet=(replace(short, look_at=None),)))
    expect(why).to_have_text(re.compile("min-free-disk 10 GiB$"))


def test_a_schedule_is_told_with_the_window_in_force_and_the_next(visit):
    monday = 1_796_018_400.0  # 2026-11-30 07:00 in Berlin
    window = Opening(1, monday, monday + 36_000, "Europe/Berlin", 4, 1200)
    next_ = Opening(2, monday + 86_400, monday + 90_000, "Europe/Berlin", 1, 5)
    watched = visit.serve(Watched(having(scale_set(window=window, next_window=next_))))
    page = visit(watched)

    words = page.locator("#set-list .schedule")
    expect(words).to_have_text(
        "Schedule: min 4, max 1,200 until Mon 30 Nov, 17:00; min 1, max 5 from Tue 1 Dec, 07:00 Europe/Berlin"
    )
    watched.put(scale_set(window=window, next_window=replace(next_, timezone="UTC")))
    expect(words).to_have_text(
        "Schedule: min 4, max 1,200 until Mon 30 Nov, 17:00 Europe/Berlin; "
        "min 1, max 5 from Tue 1 Dec, 06:00 UTC"
    )
    watched.put(scale_set(next_window=next_))
    expect(words).to_have_text("Schedule: min 1, max 5 from Tue 1 Dec, 07:00 Europe/Berlin")
    watched.put(scale_set())
    expect(words).to_be_hidden()


def test_the_limits_of_the_host_are_marked_where_there_are_any(visit):
    unlimited = visit(visit.serve(Watched(having(scale_set()))))
    ticks = unlimited.locator("#host b")
    expect(ticks).to_have_count(3)
    assert [one.is_visible() for one in ticks.all()] == [False] * 3
    expect(unlimited.locator("#host")).not_to_contain_text(re.compile("m(in|ax) "))

    limits = HostSettings(min_free_memory="1MiB", min_free_disk="900TiB", max_load=9000)
    page = visit(visit.serve(Watched(having(scale_set()), limits=limits)))
    load, memory, disk = (one.locator("span").last for one in page.locator("#host .gauge").all())
    expect(load).to_have_text(re.compile(r"^[0-9.]+ on [0-9]+ CPUs?, max 9000$"))
    expect(memory).to_have_text(re.compile(r"^[0-9.]+ [MGT]iB free, min 1 MiB$"))
    expect(disk).to_have_text(re.compile(r"^[0-9.]+ [MGT]iB free, min 900 TiB$"))
    assert [one.evaluate("one => one.className") for one in (load, memory, disk)] == ["", "", "short"]
    places = [one.evaluate("one => one.style.left") for one in page.locator("#host b").all()]
    assert places == ["100%", "100%", "0%"]
    assert page.locator("#host i").last.get_attribute("data-level") == "full"
    assert violations(page) == []


def test_standby_and_draining_are_told(visit):
    standby = visit(visit.serve(dashboard.standby()))
    expect(standby.locator("#overall")).to_have_text("standby")
    expect(standby.locator("#banners")).to_contain_text(
        re.compile(
            "linux, gpu are on standby since [A-Z][a-z]{2} [0-9]+ [A-Z][a-z]{2}, [0-9:]{5}: another listener"
        )
    )
    expect(standby.locator("#set-list .chip").first).to_have_text("standby")

    draining = visit(visit.serve(dashboard.draining()))
    expect(draining.locator("#overall")).to_have_text("draining")
    expect(draining.locator("#banners")).to_contain_text("no new jobs; 6 busy runners may finish")


def test_scale_sets_of_one_name_have_names_lanes_and_events_of_their_own(visit):
    now = dashboard.SystemClock().wall()
    urls = ("https://github.com/my-org", "https://github.com/other/app")
    twins = [with_slots(scale_set(url=url), busy_slot(0, "r-1", now - 5, "build")) for url in urls]
    group = scale_set(url=urls[1], runner_group="arm", state=SetState.DEGRADED, reason="no engine")
    watched = visit.serve(Watched(having(*twins, group)))
    for seconds, url in enumerate(urls):
        who = {**place("linux", url), "slot": 0, "runner": "r-1"}
        watched.happen(RunnerStarted(at=now - 9 + seconds, **who, resource="c", seconds=1))
    page = visit(watched)

    lanes = page.locator("#timeline .lane title")
    expect(lanes).to_have_count(2)
    wanted = ["linux (my-org) #0", "linux (other/app, default) #0"]
    assert sorted(one.text_content() or "" for one in lanes.all()) == wanted
    told = page.locator("#events b").all_inner_texts()
    assert told == ["linux (other/app, default)", "linux (my-org)"]
    expect(page.locator("#banners")).to_contain_text("linux (other/app, arm) is degraded: no engine")
    expect(page.locator("#set-list .who small").first).to_have_text(
        "github.com/other/app · group arm · docker"
    )


def test_a_runner_that_failed_to_start_has_a_mark_in_the_timeline(visit):
    page = visit(visit.serve(dashboard.degraded()))

    failed = page.locator("#timeline g", has=page.locator("title", has_text="linux-77aa"))
    expect(failed.locator("rect.failed")).to_have_count(1)
    assert failed.locator("rect.failed").bounding_box()["width"] >= 10


def test_held_back_runners_are_told_at_the_top_and_lead_to_their_scale_set(visit):
    page = visit(visit.serve(dashboard.busy(sets=30, slots=300)))
    line = page.locator("#banners .banner", has_text="the host guard holds them back: free disk 9.6 GiB")
    expect(line).to_contain_text("waits for 3 more runners")
    name = line.get_by_role("button").inner_text()
    page.get_by_role("radio", name="Trouble").first.check()

    line.get_by_role("button").click()

    row = page.locator("#set-list details[open]")
    expect(row.locator(".who b")).to_have_text(name)
    expect(row).to_be_in_viewport()
    expect(page.get_by_role("radio", name="All").first).to_be_checked()


@pytest.mark.parametrize("file", ["main.js", "timeline.js", "style.css"])
def test_a_part_that_did_not_load_is_loaded_again(visit, browser, file):
    watched = visit.serve(dashboard.empty())
    page = browser.new_page()
    left = [1]

    def fail_once(route: Route) -> None:
        if left:
            left.pop()
            route.abort("failed")
        else:
            route.continue_()

    page.route(f"**/{file}", fail_once)
    page.goto(watched.url)

    expect(page.locator(".top")).to_have_css("display", "flex")
    expect(page.locator("#link")).to_have_text("live")
    page.close()


def test_a_set_opens_to_its_slots_with_links_to_the_runs(visit):
    now = dashboard.SystemClock().wall()
    linux = with_slots(
        scale_set("linux"),
        busy_slot(0, "r-1", now - 65, "build", run=4711),
        SlotStatus(3, "idle", "r-2", "", now - 5),
    )
    watched = visit.serve(Watched(having(linux)))
    page = visit(watched)

    page.locator("summary").click()

    expect(page.locator(".slots li")).to_have_count(2)
    first, second = page.locator(".slots li").all()
    expect(first).to_contain_text(
        re.compile("#0busy1 min [0-9]+ sbuild my-org/app · ci.yml on main run 4711")
    )
    expect(first.locator("a")).to_have_attribute("href", "https://github.com/my-org/app/actions/runs/4711")
    expect(second).to_contain_text("#3idle")
    watched.put(with_slots(scale_set("linux"), linux.slots[1]))
    expect(page.locator(".slots li")).to_have_count(1)


# -- live ---------------------------------------------------------------------------------------------


def test_what_changes_shows_without_a_reload(visit):
    watched = visit.serve(dashboard.empty())
    page = visit(watched)
    now = watched.clock.wall()
    who = {**place("linux"), "slot": 0, "runner": "r-1"}
    job = {**who, "job_id": "j", "job": "build", "repository": "my-org/app"}

    watched.put(with_slots(scale_set("linux"), busy_slot(0, "r-1", now)))
    watched.happen(RunnerStarted(at=now, **who, resource="c", seconds=1.25))
    watched.happen(JobStarted(at=now, **job, seconds_queued=2.0))

    expect(page.locator("#tile-runners")).to_have_text("1")
    expect(page.locator("#events li").first).to_contain_text("linux build of my-org/app started after 2.0 s")
    expect(page.locator("#timeline .life.busy")).to_have_count(1)
    expect(page.locator("#startup-text")).to_contain_text("half within 1.3 s")

    watched.put(scale_set("linux"))
    watched.happen(JobCompleted(at=now + 3, **job, result="failed", seconds_run=3.0))

    expect(page.locator("#tile-runners")).to_have_text("0")
    expect(page.locator("#events li").first).to_contain_text("failed after 3.0 s")
    expect(page.locator("#timeline .life.failed")).to_have_count(1)
    page.get_by_role("radio", name="Trouble").last.check()
    expect(page.locator("#events li")).to_have_count(1)
    assert page.evaluate("window.notReloaded")


def test_the_list_of_scale_sets_may_change(visit):
    watched = visit.serve(dashboard.empty())
    page = visit(watched)

    watched.status = having(scale_set("new"), scale_set("gpu", max=2))

    expect(page.locator("#set-list > li .who b").first).to_have_text("new")
    assert names(page) == ["new", "gpu"]


def test_a_daemon_that_is_gone_is_said_and_the_page_catches_up(visit, browser):
    first = dashboard.degraded()
    page = visit(first)
    first.close()
    expect(page.locator("#gone")).to_contain_text("The daemon has not answered since")
    expect(page.locator("#gone")).to_contain_text("runner service status")
    expect(page.locator("#link")).to_have_text("no answer")
    assert "no answer" in page.title()
    assert violations(page) == []
    visit.errors.clear()  # Chromium notes each connection that is refused

    again = visit.serve(Watched(having(scale_set("linux")), first.port))
    who = {**place("linux"), "slot": 0, "runner": "r-9"}
    again.happen(RunnerFailed(at=again.clock.wall(), **who, reason="its image is not there"))

    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("#gone")).to_be_empty()
    expect(page.locator("#overall")).to_have_text("ok")
    expect(page.locator("#events li")).to_have_count(1)
    expect(page.locator("#events li")).to_contain_text("its image is not there")
    assert page.evaluate("window.notReloaded")
    visit.errors.clear()


def test_one_failure_of_stream_and_status_together_is_not_told(visit, browser):
    """Chromium breaks off both when the networks of its host change."""
    watched = visit.serve(dashboard.empty())
    page = browser.new_page()
    left = ["/api/v1/events", "/api/v1/status"]

    def fail_each_once(route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path in left:
            left.remove(path)
            route.abort("failed")
        else:
            route.continue_()

    page.route("**/api/v1/*", fail_each_once)
    page.add_init_script(
        "window.links = []; addEventListener('DOMContentLoaded', () => {"
        " const link = document.getElementById('link');"
        " new MutationObserver(() => links.push(link.dataset.link)).observe(link, { attributes: true }); })"
    )
    page.goto(watched.url)

    expect(page.locator("#link")).to_have_text("live")
    assert left == []
    assert "gone" not in page.evaluate("window.links")
    page.close()


def test_a_viewer_for_whom_no_stream_is_left_asks_from_time_to_time(visit):
    watched = visit.serve(dashboard.empty())
    with ExitStack() as open_:
        for _ in range(MAX_STREAMS):
            client = open_.enter_context(socket.create_connection(("127.0.0.1", watched.port), timeout=20))
            client.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in client.recv(100)
        page = visit(watched)
        expect(page.locator("#link")).to_have_text("every 5 s")
        visit.errors.clear()  # Chromium notes each 503

        watched.put(scale_set("linux", idle=1, total=1))

        expect(page.locator("#tile-runners")).to_have_text("1")
    expect(page.locator("#link")).to_have_text("live")
    visit.errors.clear()


def test_phases_of_a_start_show_where_the_daemon_tells_them(visit):
    page = visit(visit.serve(dashboard.empty()))

    told = page.evaluate(
        """async () => {
            const { Model } = await import("/dashboard/model.js");
            const { showCharts } = await import("/dashboard/charts.js");
            const model = new Model();
            const body = await (await fetch("/api/v1/status")).json();
            const phases = { wait: 0.25, jit: 0.5, create: 2, boot: null, start: 1 };
            const slot = { slot: 0, state: "idle", seconds: 1, runner: "r", job: "", start_seconds: phases };
            body.scale_sets[0].slots = [slot];
            model.load(body);
            const { url, runner_group } = body.scale_sets[0];
            const who = { scale_set: "linux", url, runner_group, slot: 0, runner: "r" };
            model.hear({ event: "runner_started", at: body.now, seconds: 3.75, ...who });
            showCharts(model);
            return document.getElementById("startup-text").textContent;
        }"""
    )

    assert told.startswith("wait 0.3 sjit 0.5 screate 2.0 sstart 1.0 s")


# -- for anyone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESK, PHONE])
@pytest.mark.parametrize("state", dashboard.STATES)
def test_it_is_accessible_and_fits(visit, state, width, scheme):
    page = visit(visit.serve(dashboard.STATES[state]()), width, scheme)
    page.locator("#set-list summary").first.click()
    expect(page.locator("#set-list details[open]")).to_have_count(1)

    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, PHONE, 880, 881, 1000, 1260, 1261, DESK])
def test_nothing_sticks_out_of_its_card_at_any_width(visit, width):
    page = visit(visit.serve(dashboard.busy(sets=20, slots=100)), width)
    page.locator("#set-list summary").first.click()
    expect(page.locator("#set-list details[open]")).to_have_count(1)

    too_wide = page.evaluate(
        "[...document.querySelectorAll('.card, .tile, #set-list > li, summary, .top')]"
        ".filter((one) => one.scrollWidth > one.clientWidth + 1)"
        ".map((one) => `${one.scrollWidth} in ${one.clientWidth}: ${one.outerHTML.slice(0, 60)}`)"
    )

    assert too_wide == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_can_be_used_with_the_keyboard_alone(visit):
    page = visit(visit.serve(dashboard.degraded()))

    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#sets")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#set-list > li")).to_have_count(1)
    page.keyboard.press("Tab")
    page.keyboard.type("linux")
    expect(page.locator("#filter")).to_have_value("linux")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#set-list details[open]")).to_have_count(1)


def test_nothing_moves_while_things_change(visit):
    watched = visit.serve(dashboard.busy(sets=20, slots=100))
    page = visit(watched)
    all_of = "[...document.querySelectorAll('main > *, #set-list > li')]"
    places = f"{all_of}.map((one) => one.getBoundingClientRect().y)"
    before = page.evaluate(places)

    linux = watched.status.scale_sets[0]
    watched.put(with_slots(linux, *linux.slots[1:]))
    expect(page.locator("#tile-runners")).to_have_text(
        str(sum(one.total for one in watched.status.scale_sets))
    )

    assert page.evaluate(places) == before


def test_what_github_says_is_only_ever_text(visit):
    now = dashboard.SystemClock().wall()
    slot = replace(
        busy_slot(0, HOSTILE, now - 5, HOSTILE),
        origin=replace(busy_slot(0, "", 0).origin, repository=HOSTILE),
    )
    hostile = with_slots(scale_set(HOSTILE, state=SetState.DEGRADED, reason=HOSTILE), slot)
    watched = visit.serve(Watched(having(replace(hostile, url="javascript:alert(1)"))))
    job = {"scale_set": HOSTILE, "slot": 0, "runner": HOSTILE, "job_id": HOSTILE, "job": HOSTILE}
    watched.happen(JobStarted(at=now, **job, repository=HOSTILE))
    watched.happen(JobCompleted(at=now, **job, result=HOSTILE, seconds_run=1.0))
    page = visit(watched)
    page.locator("summary").click()
    expect(page.locator(".slots li")).to_contain_text(HOSTILE)
    expect(page.locator("#events li").first).to_contain_text(HOSTILE)

    assert page.evaluate("window.pwned") is None
    assert page.locator("main img, main script").count() == 0
    assert page.locator("main a").count() == 0


def test_the_policy_of_the_page_forbids_inline_and_foreign_code(visit):
    page = visit(visit.serve(dashboard.empty()))

    tried: Callable[[str], str] = lambda code: page.evaluate(  # noqa: E731
        "(code) => { const one = document.createElement('script'); one.textContent = code;"
        " document.head.append(one); return window.ran ?? 'refused'; }",
        code,
    )

    assert tried("window.ran = 'ran'") == "refused"
    assert any("Content Security Policy" in error for error in visit.errors)
    visit.errors.clear()
