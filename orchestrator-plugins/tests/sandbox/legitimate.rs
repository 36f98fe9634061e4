//! Scripts that do what scripts are for: each must work inside.

/// One of them: its name, its interpreter, what it is granted, its text. It prints `done` when all went well.
pub(crate) static SCRIPTS: &[(&str, &str, &str, &str)] = &[
    (
        "files",
        "bash",
        "",
        "mkdir -p work/deep && echo one > work/deep/file && mv work/deep/file work/moved && ln -s moved work/link \
         && ln work/moved work/hard && cat work/link work/hard | wc -l | grep -q 2 && sed -i s/one/two/ work/moved && touch -d yesterday work/moved \
         && printf '#!/bin/sh\\necho ran\\n' > work/run && chmod 755 work/run && work/run && truncate -s 0 work/moved && mkfifo work/pipe && rm -r work/* && echo done",
    ),
    (
        "git",
        "bash",
        "",
        "cd work && git init -q . && echo x > file && git add file && git -c user.name=a -c user.email=a@b commit -qm first \
         && git log --oneline | grep -q first && git checkout -q -b other && git status --short && git gc -q && echo done",
    ),
    (
        "python",
        "python3",
        "",
        "import asyncio, concurrent.futures, hashlib, json, random, sqlite3, subprocess, tempfile, threading, zlib\n\
         assert subprocess.run(['echo', 'x'], capture_output=True).stdout == b'x\\n'\n\
         assert list(concurrent.futures.ThreadPoolExecutor(4).map(abs, [-1])) == [1]\n\
         assert asyncio.run(asyncio.sleep(0, 1)) == 1\n\
         with tempfile.NamedTemporaryFile() as file: file.write(b'x')\n\
         sqlite3.connect('work/rows.db').execute('create table t(a)')\n\
         print('done')",
    ),
    (
        "archives",
        "bash",
        "",
        "cd work && mkdir in out && seq 1000 > in/numbers && tar -czf in.tgz in && tar -xzf in.tgz -C out && cmp in/numbers out/in/numbers && gzip -k in/numbers && gunzip -c in/numbers.gz | cmp - in/numbers && echo done",
    ),
    (
        "pipelines and substitutions",
        "bash",
        "",
        "diff <(seq 3) <(printf '1\\n2\\n3\\n') && cat /dev/stdin <<< x > /dev/null && echo y > /dev/stdout && echo z > /dev/stderr && head -c 8 /dev/urandom | wc -c | grep -q 8 \
         && seq 200000 | sort -R -S 1M -T \"$TMPDIR\" | sort -n -c 2>/dev/null || true; f=$(mktemp) && echo x > $f && rm $f && echo done",
    ),
    (
        "processes",
        "bash",
        "",
        "sleep 100 & kill $! && { wait $! || true; } && { timeout 0.1 sleep 100 || [ $? = 124 ]; } && trap 'echo trapped' USR1 && kill -USR1 $$ \
         && setsid true && nice true && seq 8 | xargs -P 4 -I{} sh -c 'exit 0' && echo done",
    ),
    (
        "who and where",
        "bash",
        "",
        "id -un >/dev/null && getent passwd root | grep -q root && hostname >/dev/null && date >/dev/null && nproc >/dev/null && TZ=UTC date +%Z | grep -q UTC && cat /proc/meminfo /proc/self/status >/dev/null && [ -w . ] && df . >/dev/null && echo done",
    ),
    (
        "perl",
        "perl",
        "",
        "open(my $f, '>', 'work/p') or die; print $f 'x'; close $f; print `cat work/p`, \"\\ndone\\n\";",
    ),
    (
        "the network, when granted",
        "bash",
        "network",
        "exec 3<>/dev/tcp/127.0.0.1/$PORT && echo hello >&3 && echo done",
    ),
    (
        "another folder, when granted",
        "bash",
        "write",
        "echo x > \"$GRANTED/file\" && cat \"$GRANTED/file\" && echo done",
    ),
    (
        "reading another folder, when granted",
        "bash",
        "read",
        "grep -q key \"$OUTSIDE/config.toml\" && ! { echo x >> \"$OUTSIDE/config.toml\"; } 2>/dev/null && echo done",
    ),
    (
        "an output of a thousand lines and a result",
        "bash",
        "",
        "seq 1000 >&2; echo a=1 > $ORCHESTRATOR_OUTPUT; cp $ORCHESTRATOR_OUTPUT $ORCHESTRATOR_OUTPUT.new && mv $ORCHESTRATOR_OUTPUT.new $ORCHESTRATOR_OUTPUT && echo done",
    ),
];
