"""Measures of econe, always as ratios against a floor or a peer taken in the same run."""
