"""The engine that asks an OpenNebula front-end (oned) for its machines."""
