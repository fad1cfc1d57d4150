"""PostgreSQL and Valkey of our own: started, shared, recovered and ended without any set-up."""

from adapters.embedded.servers import EmbeddedServers, Endpoints, erase

__all__ = ["EmbeddedServers", "Endpoints", "erase"]
