"""The machine behind the virtual printer's wire: heaters, planner, axes, card. It knows the time, and no line."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import exp, hypot, inf, log

from limpet.protocol.virtual.card import SdCard
from limpet.protocol.virtual.firmware import TEMPERATURE_STYLES, Stopped
from limpet.protocol.virtual.options import VirtualPrinterOptions

AXES = "XYZE"
STEPS_PER_MM = {"x": 80, "y": 80, "z": 400}
REACHED = 1.0
"""A heater is at its target when it is this close, in degrees."""
COLDEST_EXTRUSION = 170.0
"""Below this filament is not moved, where cold extrusion is prevented."""
MAX_ANNOUNCEMENTS = 100


class Heater:
    """A temperature that nears its goal exponentially; computed, never ticked."""

    def __init__(self, ambient: float, heating_time: float, cooling_time: float) -> None:
        self.target = 0.0
        self._ambient, self._heating_time, self._cooling_time = ambient, heating_time, cooling_time
        self._from, self._since = ambient, 0.0
        self.pinned: float | None = None

    def temperature(self, now: float) -> float:
        """Degrees Celsius."""
        if self.pinned is not None:
            return self.pinned
        time_constant = self._time_constant()
        if time_constant <= 0:
            return self._goal()
        return self._goal() + (self._from - self._goal()) * exp(-max(0.0, now - self._since) / time_constant)

    def heat(self, target: float, now: float) -> None:
        """A new target; 0 turns the heater off."""
        self._from, self._since = self.temperature(now), now
        self.target = target

    def set_ambient(self, ambient: float, now: float) -> None:
        """The room has another temperature from now on."""
        self._from, self._since = self.temperature(now), now
        self._ambient = ambient

    def reached_at(self, now: float) -> float:
        """When the temperature will be near its goal; `now` when it is already."""
        distance = 0.0 if self.pinned is not None else abs(self.temperature(now) - self._goal())
        return now if distance <= REACHED else now + self._time_constant() * log(distance / REACHED) + 1e-6

    def is_too_cold(self, now: float) -> bool:
        return self.pinned is None and self.temperature(now) < self._goal() - REACHED

    def _goal(self) -> float:
        return max(self.target, self._ambient) if self.target else self._ambient

    def _time_constant(self) -> float:
        return self._heating_time if self._from < self._goal() else self._cooling_time


class Planner:
    """Moves that wait for their turn: when each of them will have ended."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._ends: deque[float] = deque()

    def free(self, now: float) -> int:
        """Slots without a move."""
        while self._ends and self._ends[0] <= now:
            self._ends.popleft()
        return self.slots - len(self._ends)

    def next_free(self, now: float) -> float:
        """When a slot is free."""
        return now if self.free(now) else self._ends[0]

    def add(self, duration: float, now: float) -> None:
        if duration > 0:
            self._ends.append(self.done_at(now) + duration)

    def done_at(self, now: float) -> float:
        """When all moves have ended."""
        return max(now, self._ends[-1]) if self._ends else now

    def stop(self) -> None:
        self._ends.clear()


class Machine:
    """What commands act on. `now` is set before anything is asked of it; `say` puts a line on the wire."""

    def __init__(self, options: VirtualPrinterOptions, say: Callable[[str], None], card: SdCard, now: float) -> None:
        self.options = options
        self.firmware = options.manners()
        self.say = say
        self.card = card
        self.now = now
        self.started_at = now
        self.factor = 0.0 if options.instant else 1 / options.speed_factor
        self.heaters = self._make_heaters()
        self.planner = Planner(options.planner)
        self.position = dict.fromkeys(AXES, 0.0)
        self.relative = dict.fromkeys(AXES, False)
        self.feedrate = 1500.0
        self.speed_percent = 100.0
        self.tool = 0
        self.locked = options.locked
        self.busy_interval = options.busy_interval if options.busy else 0.0
        self.reports: dict[str, tuple[float, float]] = {}  # name -> interval, next moment
        self.waits_for_user = False
        self.waits_for_heater = False
        self.print_began: float | None = None
        self.coldest_extrusion = COLDEST_EXTRUSION if options.prevent_cold_extrusion else -inf
        self.halted = False
        self.stopped: Stopped | None = None
        self._announcements: list[tuple[float, str]] = []

    def move(self, words: dict[str, float]) -> float:
        """Goes where G0/G1 says; the duration in seconds."""
        self.feedrate = words.get("F", self.feedrate) or self.feedrate
        travel = dict.fromkeys(AXES, 0.0)
        for axis in AXES:
            if axis in words:
                travel[axis] = words[axis] - (0.0 if self.relative[axis] else self.position[axis])
                self.position[axis] += travel[axis]
        if travel["E"] and self._nozzle().temperature(self.now) < self.coldest_extrusion:
            self.say("echo: cold extrusion prevented")
            travel["E"] = 0.0
        distance = hypot(travel["X"], travel["Y"], travel["Z"]) or abs(travel["E"])
        speed = abs(self.feedrate) / 60 * self.speed_percent / 100
        return distance / speed * self.factor if speed else 0.0

    def heater(self, name: str) -> Heater | None:
        """`T0`..`T7`, `B`, `C`; None when the machine has no such thing."""
        return self.heaters.get("T0" if self.options.shared_nozzle and name.startswith("T") else name)

    def position_report(self) -> str:
        """The line of M114."""
        counts = {axis: round(self.position[axis.upper()] * steps) for axis, steps in STEPS_PER_MM.items()}
        return (self.options.m114_format or self.firmware.position).format(**self.position, **counts)

    def temperature_report(self) -> str:
        """`T:21.30 /0.00 B:...` in the style of the firmware."""
        style = TEMPERATURE_STYLES[self.options.temperature_style or self.firmware.temperatures]
        tools = [f"T{number}" for number in range(self.options.extruders)]
        words, power = [], []
        order = style.several if len(tools) > 1 else style.order
        if "T*" in order and not self.options.current_tool_in_temperatures:
            order = tuple(name for name in order if name != "T")
        for name in order:
            for each in tools if name == "T*" else [name]:
                heater = self.heater(f"T{self.tool}" if each == "T" else each)
                if heater is not None:
                    words.append(self._heater_report(style.heater, each, heater))
                    if style.power and (name != "T*" or len(tools) > 1):
                        power.append(f"{each[0].strip('T')}@{each[1:]}:{self._power(heater)}")
        if self.options.repetier_targets:
            words += [f"\nTarget{self._target_name(name)}:{each.target:.0f}" for name, each in self.heaters.items()]
            power = []
        return " ".join([*words, *power]).replace(" \n", "\n") + style.suffix

    def heating_report(self, rest: str) -> str:
        """What is said every second while it waits for a heater; `rest`: seconds to stay at the target, or `?`."""
        nozzle = self._nozzle().temperature(self.now)
        return self.firmware.heating.format(report=self.temperature_report(), nozzle=nozzle, rest=rest)

    def report(self, name: str) -> str:
        """What M155 ("temperature"), M154 ("position") and M27 S (else) say every now and then."""
        if name == "temperature":
            return self.firmware.report_prefix + self.temperature_report()
        return self.position_report() if name == "position" else self.sd_report()

    def sd_report(self) -> str:
        """The line of M27."""
        if not self.card.printing or self.card.selected is None:
            return "Not SD printing"
        return f"SD printing byte {self.card.position}/{len(self.card.files[self.card.selected])}"

    def action(self, *texts: str) -> None:
        """`//action:` lines, if the printer is of the kind that says them."""
        for text in texts if self.options.prompts else ():
            self.say(f"//action:{text}")

    def user_continues(self) -> None:
        """Somebody pressed the button, or M108: waits for a person or a heater are over."""
        self.waits_for_user = self.waits_for_heater = False

    def announce(self, seconds: float, text: str) -> None:
        """Says it in so many seconds from now."""
        if len(self._announcements) < MAX_ANNOUNCEMENTS:
            self._announcements.append((self.now + seconds, text))

    def announcements_until(self, now: float) -> list[str]:
        """What is to be said by now, each once."""
        due = [text for moment, text in self._announcements if moment <= now]
        if due:
            self._announcements = [each for each in self._announcements if each[0] > now]
        return due

    def next_announcement(self) -> float:
        """When there is something to announce; `inf` for never."""
        return min((moment for moment, _ in self._announcements), default=inf)

    def halt(self, *lines: str) -> None:
        """The last words, and no heat any more; most are deaf and dumb from then on."""
        for line in (*lines, *self.firmware.halt):
            self.say(line)
        self.stop(self.firmware.halted)
        self.halted = self.firmware.halted is None

    def stop(self, how: Stopped | None) -> None:
        """No heat, and from now on the answer that `how` has for everything."""
        for heater in self.heaters.values():
            heater.heat(0, self.now)
        self.stopped = how

    def go_on(self) -> None:
        """Somebody has put an end to being stopped."""
        if self.stopped is not None and self.stopped.parting:
            self.say(self.stopped.parting)
        self.stopped = None

    def _make_heaters(self) -> dict[str, Heater]:
        options, factor = self.options, self.factor
        tools = 1 if options.shared_nozzle else options.extruders
        names = [f"T{number}" for number in range(tools)] + ["B"] * options.bed + ["C"] * options.chamber
        heaters = {
            name: Heater(
                options.ambient,
                options.heating_time * factor * (1 if name.startswith("T") else 3),
                options.cooling_time * factor,
            )
            for name in names
        }
        for tool, degrees in options.pinned_temperatures().items():
            heaters[f"T{tool}"].pinned = degrees
        return heaters

    def _nozzle(self) -> Heater:
        return self.heaters["T0" if self.options.shared_nozzle else f"T{self.tool}"]

    def _heater_report(self, template: str, name: str, heater: Heater) -> str:
        actual = heater.temperature(self.now)
        if self.options.nan and heater is self.heaters["T0"]:
            actual = inf - inf
        template = self.options.m105_format or template
        if self.options.repetier_targets:
            template = self.options.m105_format_without_target
        return template.format(name=name, actual=actual, target=heater.target)

    def _target_name(self, name: str) -> str:
        return {"B": "Bed", "C": "Chamber"}.get(name, f"Extr{name[1:]}")

    def _power(self, heater: Heater) -> int:
        return 127 if heater.target and heater.is_too_cold(self.now) else 0
