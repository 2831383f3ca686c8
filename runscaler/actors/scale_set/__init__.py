"""One scale set: the actor that decides how many runners there are, and its parts.

`actor` dispatches messages; `slots` is the only writer of slots; `runners` takes their steps. `planning`
decides when to plan, `job_tracking` and `ended_runners` what became of jobs and runners. `conditions` keep
what stands in the way, `claims` what slots need on the host, `child_actors` the actors below.
`reconciliation` and `anomaly_checks` compare belief with what is there; `shutdown` is the orderly stop.
The parts share a `ScaleSetContext` and are used on the actor's thread only.
"""

from runscaler.actors.scale_set.actor import ScaleSetActor, ScaleSetWiring

__all__ = ["ScaleSetActor", "ScaleSetWiring"]
