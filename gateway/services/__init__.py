"""The services of the contract, one file each; they know requests, the router, and no transport."""
