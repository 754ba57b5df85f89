"""The machine behind the virtual printer's wire: heaters, planner, axes, card. It knows the time, and no line."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import exp, hypot, inf, log

from limpet.protocol.virtual.card import SdCard
from limpet.protocol.virtual.firmware import FIRMWARES, TEMPERATURE_STYLES
from limpet.protocol.virtual.options import VirtualPrinterOptions

AXES = "XYZE"
STEPS_PER_MM = {"x": 80, "y": 80, "z": 400}
REACHED = 1.0
"""A heater is at its target when it is this close, in degrees."""


class Heater:
    """A temperature that nears its goal exponentially; computed, never ticked."""

    def __init__(self, ambient: float, heating_time: float, cooling_time: float) -> None:
        self.target = 0.0
        self._ambient, self._heating_time, self._cooling_time = ambient, heating_time, cooling_time
        self._from, self._since = ambient, 0.0

    def temperature(self, now: float) -> float:
        """Degrees Celsius."""
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
        distance = abs(self.temperature(now) - self._goal())
        return now if distance <= REACHED else now + self._time_constant() * log(distance / REACHED) + 1e-6

    def is_too_cold(self, now: float) -> bool:
        return self.temperature(now) < self._goal() - REACHED

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
        self.firmware = FIRMWARES[options.firmware]
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
        self.halted = False
        self.stopped = ""

    def move(self, words: dict[str, float]) -> float:
        """Goes where G0/G1 says; the duration in seconds."""
        self.feedrate = words.get("F", self.feedrate) or self.feedrate
        travel = dict.fromkeys(AXES, 0.0)
        for axis in AXES:
            if axis in words:
                travel[axis] = words[axis] - (0.0 if self.relative[axis] else self.position[axis])
                self.position[axis] += travel[axis]
        distance = hypot(travel["X"], travel["Y"], travel["Z"]) or abs(travel["E"])
        speed = abs(self.feedrate) / 60 * self.speed_percent / 100
        return distance / speed * self.factor if speed else 0.0

    def heater(self, name: str) -> Heater | None:
        """`T0`..`T7`, `B`, `C`; None when the machine has no such thing."""
        return self.heaters.get("T0" if self.options.shared_nozzle and name.startswith("T") else name)

    def position_report(self) -> str:
        """The line of M114."""
        counts = {axis: round(self.position[axis.upper()] * steps) for axis, steps in STEPS_PER_MM.items()}
        return self.firmware.position.format(**self.position, **counts)

    def temperature_report(self) -> str:
        """`T:21.30 /0.00 B:...` in the style of the firmware."""
        style = TEMPERATURE_STYLES[self.options.temperature_style or self.firmware.temperatures]
        tools = [f"T{number}" for number in range(self.options.extruders)]
        words, power = [], []
        for name in style.several if len(tools) > 1 else style.order:
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

    def halt(self, *lines: str) -> None:
        """The last words; deaf and dumb from then on."""
        for line in (*lines, *self.firmware.halt):
            self.say(line)
        for heater in self.heaters.values():
            heater.heat(0, self.now)
        self.halted = True

    def _make_heaters(self) -> dict[str, Heater]:
        options, factor = self.options, self.factor
        tools = 1 if options.shared_nozzle else options.extruders
        names = [f"T{number}" for number in range(tools)] + ["B"] * options.bed + ["C"] * options.chamber
        return {
            name: Heater(
                options.ambient,
                options.heating_time * factor * (1 if name.startswith("T") else 3),
                options.cooling_time * factor,
            )
            for name in names
        }

    def _heater_report(self, template: str, name: str, heater: Heater) -> str:
        actual = heater.temperature(self.now)
        if self.options.nan and heater is self.heaters["T0"]:
            actual = inf - inf
        if self.options.repetier_targets:
            template = "{name}:{actual:.2f}"
        return template.format(name=name, actual=actual, target=heater.target)

    def _target_name(self, name: str) -> str:
        return {"B": "Bed", "C": "Chamber"}.get(name, f"Extr{name[1:]}")

    def _power(self, heater: Heater) -> int:
        return 127 if heater.target and heater.is_too_cold(self.now) else 0
