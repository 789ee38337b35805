"""Four threads, each of which makes connections to a server of the same program and talks over them: N in all."""

import socket
import sys
import threading

TALK = b"a line of some length, as clients send them\n"


def serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(4096):
                connection.sendall(data)


def ask(address: tuple[str, int], times: int) -> None:
    for _ in range(times):
        with socket.create_connection(address) as connection:
            for _ in range(10):
                connection.sendall(TALK)
                connection.recv(4096)


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    clients = [threading.Thread(target=ask, args=(listener.getsockname(), int(sys.argv[1]) // 4)) for _ in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


main()
