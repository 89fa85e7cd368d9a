"""Everything on one machine: embedded servers, a simulated BETCORE, the processes of the Procfile."""
