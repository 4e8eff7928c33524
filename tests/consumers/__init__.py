"""The sockets: who gets in, what they are fed, and what they make the microservice do."""
