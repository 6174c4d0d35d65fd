"""Everything that can be reached: the gRPC services and the `denrei` command.

protobuf stops here: what goes down to actors is commands and plain values.
"""
