"""An engine that runs nothing: every port in memory, for tests, benches, and trials without VMs."""

from econe.engines.simulator.engine import Simulator
from econe.engines.simulator.script import Script
from econe.engines.simulator.world import World

__all__ = ["Script", "Simulator", "World"]
