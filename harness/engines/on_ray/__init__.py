"""An engine on a Ray cluster: one actor for each replica of the model, with another engine of this project inside."""

from harness.engines.on_ray.engine import RayEngine
from harness.engines.on_ray.inner import inner_engine

__all__ = ["RayEngine", "inner_engine"]
