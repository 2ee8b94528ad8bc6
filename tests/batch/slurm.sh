#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A batch through a real Slurm, its controller and daemon started here on loopback; a task is requeued and a worker killed in the middle.
# It wants root, slurm-wlm and munge; exit 77 where they are not. DUMPS=DIR: these dumps instead of COUNT (24) built ones.
. "$(dirname "$0")/common.sh"
needs python3 slurmctld slurmd munged sbatch squeue
[ "$(id -u)" = 0 ] || { echo "slurmd wants root"; exit 77; }
[ -n "${DUMPS:-}" ] ||
	make_samples win7-7601 win81-9600 win10-14393 win10-17763 win10-19041 srv2022-20348 win11-22000 format-full format-live format-lime format-elf format-triage
cd "$work" || exit 1
chmod 755 "$work"
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; sleep 1; for p in $pids; do kill -9 "$p" 2>/dev/null; done; rm -rf "$work"' EXIT

if [ -n "${DUMPS:-}" ]; then
	ln -s "$(realpath "$DUMPS")" in
else
	COUNT=${COUNT:-24} python3 - <<-'EOF'
	import os, random
	names = sorted(os.listdir('dumps'))
	os.mkdir('in')
	for n in range(int(os.environ['COUNT'])):
	    name = names[n % len(names)]
	    data = bytearray(open('dumps/' + name, 'rb').read())
	    r = random.Random(n)
	    for _ in range(n // len(names) * 40):
	        data[r.randrange(8192, len(data))] ^= 1 << r.randrange(8)
	    open('in/%02d-%s.raw' % (n, name[:-4]), 'wb').write(data)
	EOF
fi
total=$(find in/ -type f ! -name '*.vmsn' ! -name '*.vmss' | wc -l)

mkdir -m 700 munge state spool
dd if=/dev/urandom of=munge/key bs=1 count=1024 status=none
chmod 600 munge/key
munged --foreground --force --key-file="$work/munge/key" --socket="$work/munge.socket" --pid-file="$work/munge/pid" --log-file="$work/munge/log" --seed-file="$work/munge/seed" 2>/dev/null & pids="$pids $!"
host=$(hostname -s)
ports=$((20000 + RANDOM % 20000))
cat >slurm.conf <<-EOF
	ClusterName=test
	SlurmctldHost=$host(127.0.0.1)
	SlurmctldPort=$ports
	SlurmdPort=$((ports + 1))
	SlurmUser=root
	AuthType=auth/munge
	AuthInfo=socket=$work/munge.socket
	CredType=cred/munge
	StateSaveLocation=$work/state
	SlurmdSpoolDir=$work/spool
	SlurmctldPidFile=$work/ctld.pid
	SlurmdPidFile=$work/d.pid
	SlurmctldLogFile=$work/ctld.log
	SlurmdLogFile=$work/d.log
	ProctrackType=proctrack/linuxproc
	TaskPlugin=task/none
	SelectType=select/cons_tres
	SelectTypeParameters=CR_CPU
	SchedulerParameters=batch_sched_delay=1,sched_interval=2,requeue_delay=1
	MpiDefault=none
	ReturnToService=2
	SlurmdParameters=config_overrides
	NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
	PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
export SLURM_CONF=$work/slurm.conf
for _ in $(seq 50); do [ -S munge.socket ] && break; sleep 0.1; done
slurmctld -D >/dev/null 2>&1 & pids="$pids $!"
sleep 1
slurmd -D >/dev/null 2>&1 & pids="$pids $!"
for _ in $(seq 100); do sinfo -h -o %t 2>/dev/null | grep -q idle && break; sleep 0.2; done
sinfo -h -o %t 2>/dev/null | grep -q idle || { tail -n 3 ctld.log d.log; echo "Slurm does not come up here"; exit 77; }

"$memsieve" batch --format json --case local.db --jobs 2 in >local.log
first=$?
ok "scripts alone" status 0 "$memsieve" batch --slurm --dry-run --cases dry --case dry.db --array-max 2 --partition all in
ok "are shell scripts" bash -n dry/analyze.sbatch
ok "submitted" status 0 "$memsieve" batch --slurm --cases night --case night.db --array-max 2 in
for _ in $(seq 6000); do [ "$(ls night/*.db 2>/dev/null | wc -l)" -ge $((total / 5)) ] && break; sleep 0.1; done
done_by=$(ls night/*.db | wc -l)
"$memsieve" batch --status night --format json >status.log
read -r dumps ended < <(sed -n 's/.*"event": "status".*"dumps": \([0-9]*\), "done": \([0-9]*\),.*/\1 \2/p' status.log)
ok "the status in between ($ended of $dumps)" [ "$dumps" = "$total" -a "$ended" -ge "$done_by" -a "$ended" -lt "$total" ]
# One task is requeued and one worker killed while they run.
job=$(squeue -h -r -t R -n memsieve -o %i | head -n 1)
ok "a task is requeued" scontrol requeue "$job"
# Slurm lets it wait for two minutes, which proves nothing.
for _ in $(seq 100); do scontrol update "JobId=$job" StartTime=now 2>/dev/null && break; sleep 0.1; done
killed=
for _ in $(seq 300); do
	worker=$(pgrep -f "memsieve analyze .*$work/night" | head -n 1)
	[ -n "$worker" ] && kill -9 "$worker" 2>/dev/null && killed=1 && break
	sleep 0.05
done
ok "a worker is killed" [ -n "$killed" ]
for _ in $(seq 9000); do [ -z "$(squeue -h)" ] && break; sleep 0.2; done
[ -z "$(squeue -h)" ] || { squeue; die "jobs are still there"; }
"$memsieve" batch --status night --format json >status.log
ok "all are done" grep -q "\"event\": \"status\".*\"dumps\": $total, \"done\": $total," status.log
ok "the merge job made the case" [ -s night.db ]
ok "and it equals the local one" same_case local.db night.db
echo "$checks checks"
