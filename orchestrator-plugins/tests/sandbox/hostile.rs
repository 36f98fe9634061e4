//! Scripts that try to get out. Each prints `ESCAPED` if it could; `Row::afterwards` looks where only an outsider can see it.

use crate::yard::Yard;

/// One attempt at getting out.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What its `sandbox` says beyond strict, as YAML would: only bounds, never grants.
    pub(crate) bounds: &'static [(&'static str, u64)],
    pub(crate) shell: &'static str,
    pub(crate) text: &'static str,
    /// It works without a sandbox only for root.
    pub(crate) root: bool,
    /// It is held off only where the engine may mount, as root may: the page of the sandbox says so.
    pub(crate) mounts: bool,
    /// Whether it has got out, where the script itself cannot tell.
    pub(crate) afterwards: Option<fn(&Yard) -> bool>,
}

const BASH: Row =
    Row { name: "", bounds: &[], shell: "bash", text: "", root: false, mounts: false, afterwards: None };

const fn bash(name: &'static str, text: &'static str) -> Row {
    Row { name, text, ..BASH }
}

const fn python(name: &'static str, text: &'static str) -> Row {
    Row { name, text, shell: "python3", ..BASH }
}

impl Row {
    const fn root(mut self) -> Self {
        self.root = true;
        self
    }

    const fn bounds(mut self, bounds: &'static [(&'static str, u64)]) -> Self {
        self.bounds = bounds;
        self
    }

    const fn afterwards(mut self, look: fn(&Yard) -> bool) -> Self {
        self.afterwards = Some(look);
        self
    }

    const fn mounts(mut self) -> Self {
        self.mounts = true;
        self
    }
}

pub(crate) static ROWS: &[Row] = &[
    // What is not its own to read.
    bash("reads the passwords", "cat /etc/shadow >/dev/null && echo ESCAPED").root(),
    bash("reads a file of the user's folder", "cat \"$AT_HOME\" && echo ESCAPED"),
    bash("reads a configuration", "cat \"$OUTSIDE/config.toml\" && echo ESCAPED"),
    bash("reads another run's folder", "grep -q secret ../other/secret && echo ESCAPED"),
    bash("reads the store", "grep -q rows .orchestrator/state.db && echo ESCAPED"),
    bash("reads the store as python would", "exec 3<.orchestrator/state.db; read -r line <&3; [ \"$line\" = rows ] && echo ESCAPED"),
    bash("reads the variables of the engine", "head -c 1 /proc/$PPID/environ | wc -c | grep -q 1 && echo ESCAPED"),
    bash("looks into the engine's files", "readlink /proc/$PPID/cwd && echo ESCAPED"),
    python(
        "reads the engine's memory",
        "import os\nmaps = open(f'/proc/{os.getppid()}/maps').read().split('-')[0]\nmem = open(f'/proc/{os.getppid()}/mem', 'rb')\nmem.seek(int(maps, 16))\nmem.read(1)\nprint('ESCAPED')",
    ),
    // What is not its own to write.
    bash("writes the store", "echo x >> .orchestrator/state.db && echo").afterwards(|yard| yard.store_is_spoilt()),
    bash("makes a file beside the store", "echo x > .orchestrator/new").afterwards(|yard| yard.workdir().join(".orchestrator/new").exists()),
    bash("moves the store away", "mv .orchestrator gone && echo").afterwards(|yard| yard.workdir().join("gone/state.db").exists()),
    bash("removes the store", "rm -rf .orchestrator").afterwards(|yard| !yard.workdir().join(".orchestrator/state.db").exists()),
    bash("writes outside", "echo x > \"$OUTSIDE/new\" && echo ESCAPED"),
    bash("writes above its folder", "echo x > ../other/new && echo ESCAPED"),
    bash("writes by a symbolic link", "ln -s \"$OUTSIDE\" work/link && echo x > work/link/new && echo ESCAPED"),
    bash("writes by a hard link", "ln \"$OUTSIDE/config.toml\" work/hard && echo x > work/hard && echo ESCAPED"),
    bash("writes by /proc/self/root", "echo x > \"/proc/self/root$OUTSIDE/new\" && echo ESCAPED"),
    bash("moves a file out", "echo x > work/mine; mv work/mine \"$OUTSIDE/mine\" && echo ESCAPED"),
    bash("writes into the machine's names", ": >> /etc/hosts && echo ESCAPED").root(),
    bash("changes a program", ": >> \"$(readlink -f /usr/bin/true)\" && echo ESCAPED").root(),
    bash("changes who may read a file", "chmod 644 /etc/hosts && echo ESCAPED").root().mounts(),
    bash("writes shared memory", "echo x > /dev/shm/escape-$$ && rm /dev/shm/escape-$$ && echo ESCAPED"),
    bash("writes where everybody may", "echo x > /tmp/escape-$$ && rm /tmp/escape-$$ && echo ESCAPED"),
    // The network and local sockets.
    bash("connects by TCP", "exec 3<>/dev/tcp/127.0.0.1/$PORT && echo ESCAPED"),
    bash("sends by UDP", "echo x > /dev/udp/127.0.0.1/$PORT && echo ESCAPED"),
    python("listens", "import socket\nsocket.create_server(('127.0.0.1', 0))\nprint('ESCAPED')"),
    python(
        "talks to an abstract socket",
        "import os, socket\nsocket.socket(socket.AF_UNIX).connect('\\0' + os.environ['ABSTRACT'])\nprint('ESCAPED')",
    ),
    python(
        "talks to a daemon's socket, as docker has one",
        "import os, socket\nsocket.socket(socket.AF_UNIX).connect('docker.sock')\nprint('ESCAPED')",
    ),
    python(
        "sends to a daemon's socket from a pair",
        "import socket\na, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\na.sendto(b'x', 'log.sock')\nprint('ESCAPED')",
    ),
    python("reads every packet", "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)\nprint('ESCAPED')").root(),
    python("asks the kernel by netlink", "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\nprint('ESCAPED')"),
    // Other processes.
    bash("ends a process of the user", "kill -KILL $VICTIM && echo ESCAPED"),
    bash("ends the engine", "kill -0 $PPID && echo ESCAPED"),
    python(
        "traces a process",
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\nprint('ESCAPED' if libc.ptrace(0x4206, int(os.environ['VICTIM']), None, None) == 0 else 'no')",
    ),
    python(
        "reads a process by process_vm_readv",
        "import ctypes, os\nlibc = ctypes.CDLL(None)\nlibc.process_vm_readv.argtypes = [ctypes.c_int] + [ctypes.c_void_p, ctypes.c_ulong] * 2 + [ctypes.c_ulong]\nprint('ESCAPED' if libc.process_vm_readv(int(os.environ['VICTIM']), None, 0, None, 0, 0) == 0 else 'no')",
    ),
    bash(
        "leaves a daemon without a trace",
        "setsid env -i bash -c 'ulimit -x 7; exec sleep 30' </dev/null >/dev/null 2>&1 & echo $! > work/pid; sleep 0.2",
    )
    .afterwards(|yard| yard.left_running()),
    // The kernel.
    bash("mounts", "mkdir work/m && mount -t tmpfs none work/m && umount work/m && echo ESCAPED").root(),
    bash("makes namespaces", "unshare -U true && echo ESCAPED"),
    bash("changes its root", "chroot / true && echo ESCAPED").root(),
    bash("makes a device", "mknod work/device c 1 3 && echo ESCAPED").root(),
    bash("makes a program of root", "cp /bin/true work/mine && chmod 4755 work/mine && echo ESCAPED"),
    python("makes a program of root as it creates it", "import os\nos.umask(0)\nos.open('work/suid', os.O_CREAT | os.O_WRONLY, 0o4755)\nprint('ESCAPED' if os.stat('work/suid').st_mode & 0o4000 else 'no')"),
    python("loads a program into the kernel", "import ctypes\nattr = (ctypes.c_uint32 * 32)(2, 4, 8, 1)\nimport platform\nnumber = {'x86_64': 321, 'aarch64': 280}[platform.machine()]\nprint('ESCAPED' if ctypes.CDLL(None).syscall(number, 0, attr, 128) >= 0 else 'no')").root(),
    python("keeps a key in the kernel", "import ctypes, platform\nnumber = {'x86_64': 248, 'aarch64': 217}[platform.machine()]\nprint('ESCAPED' if ctypes.CDLL(None).syscall(number, b'user', b'escape', b'x', 1, -1) > 0 else 'no')"),
    python("goes around the filter by io_uring", "import ctypes\nparams = (ctypes.c_uint32 * 30)()\nprint('ESCAPED' if ctypes.CDLL(None).syscall(425, 1, params) >= 0 else 'no')"),
    python("goes around the filter by openat2", "import ctypes, os\nhow = (ctypes.c_uint64 * 3)(0, 0, 0)\nprint('ESCAPED' if ctypes.CDLL(None).syscall(437, -100, b'/', how, 24) >= 0 else 'no')"),
    python(
        "types into a terminal",
        "import fcntl, os, pty, termios\nparent, child = pty.openpty()\nfcntl.ioctl(child, termios.TIOCSTI, b'x')\nprint('ESCAPED')",
    )
    .root(),
    python("sets the clock", "import time\ntime.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))\nprint('ESCAPED')").root(),
    python("names the machine", "import socket\nsocket.sethostname(socket.gethostname())\nprint('ESCAPED')").root(),
    // The machine's means.
    bash("starts processes without end", "for i in $(seq 60); do setsid env -i sleep 5 </dev/null >/dev/null 2>&1 & done; sleep 4; echo ESCAPED")
        .bounds(&[("processes", 20)]),
    python("takes all memory", "x = bytearray(256 << 20)\nprint('ESCAPED')").bounds(&[("memory", 128 << 20)]),
    python(
        "takes all memory with many hands",
        "import os, time\nfor i in range(5):\n  if os.fork() == 0:\n    x = bytearray(40 << 20)\n    time.sleep(4)\n    os._exit(0)\ntime.sleep(4)\nprint('ESCAPED')",
    )
    .bounds(&[("memory", 128 << 20)]),
    python(
        "takes all memory by sharing it",
        "import mmap, time\nx = mmap.mmap(-1, 256 << 20)\nfor at in range(0, 256 << 20, 4096): x[at] = 1\ntime.sleep(4)\nprint('ESCAPED')",
    )
    .bounds(&[("memory", 128 << 20)]),
    bash("fills the disk", "head -c 3000000 /dev/zero > work/big; [ $(stat -c %s work/big) = 3000000 ] && echo ESCAPED").bounds(&[("file_size", 1 << 20)]),
    python("takes all time", "import time\nwhile time.process_time() < 2: pass\nprint('ESCAPED')").bounds(&[("cpu", 1)]),
    python("opens files without end", "x = [open('/dev/null') for _ in range(100)]\nprint('ESCAPED')").bounds(&[("open_files", 32)]),
    bash("widens its own bounds", "ulimit -n 100 && echo ESCAPED").bounds(&[("open_files", 64)]),
];
