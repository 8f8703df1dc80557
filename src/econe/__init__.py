"""econe: an Amazon-EC2-compatible cloud that you own."""

__version__ = "0.1.0"
