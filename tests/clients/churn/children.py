"""Every process started here: none outlives the run, however it ends."""

import os
import signal
import subprocess
import threading

_lock = threading.Lock()
_started = []
_pid_files = []
_ended = False


def start(command, **more):
    """Starts a process in a session of its own: what a terminal sends to the run is for the run to pass on."""
    with _lock:
        if _ended:
            raise RuntimeError("the run is over")
        process = subprocess.Popen(command, start_new_session=True, **more)
        _started.append(process)
        return process


def own(pid_file):
    """What a script starts in the background, and whose process id it writes there, is ended as well."""
    _pid_files.append(pid_file)


def end():
    """Kills what is left, by its process id; nothing can be started any more."""
    global _ended
    # The signal handler that calls this may have interrupted `start` in the same thread.
    locked = _lock.acquire(timeout=1)
    _ended = True
    for process in _started:
        if process.poll() is None:
            process.kill()
    for process in _started:
        process.wait()
    for pid_file in _pid_files:
        try:
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            # It has ended, and the script has removed the file.
            pass
    if locked:
        _lock.release()
