"""Write down every call of a backend, and every durable fact, as lines of JSON."""

from drover_tracing._tracer import Tracer, tracing

__all__ = ["Tracer", "tracing"]
