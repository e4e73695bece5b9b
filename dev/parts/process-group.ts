import { spawn, type ChildProcess } from 'node:child_process'
import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

/** Processes that live and die together with this one, and the folder they work in. */
export interface ProcessGroup {
  /** Starts a program whose output goes to `<name>.log` in the folder. */
  start: (name: string, file: string, args: readonly string[]) => Promise<void>
  /**
   * As start, but returns the first line that the program writes to its stdout. Such a program is
   * asked to end (SIGTERM) before it is killed.
   */
  startAndReadLine: (name: string, file: string, args: readonly string[]) => Promise<string>
  /** Rejects as soon as a program ends that nobody stopped; never resolves. */
  failed: Promise<never>
  /** Kills all, the last started first, and removes the folder. */
  stop: () => Promise<void>
}

interface Member {
  child: ChildProcess
  /** Resolves with its exit code or signal. */
  ended: Promise<string>
  gentle: boolean
}

/**
 * Reads "add PID" and "drop PID" from a pipe whose other end only our process holds. When that
 * ends, in whatever way (SIGKILL included), the kernel closes the pipe, and the reaper ends the
 * process groups that are left and removes the folder.
 */
const reaperScript = `
while read -r action pid; do
  case $action in
    add) pids="$pids $pid" ;;
    drop)
      kept=
      for p in $pids; do [ "$p" = "$pid" ] || kept="$kept $p"; done
      pids=$kept ;;
  esac
done
for p in $pids; do kill -s TERM -- "-$p" 2>/dev/null; done
[ -n "$pids" ] && sleep 1
for p in $pids; do kill -s KILL -- "-$p" 2>/dev/null; done
rm -rf -- "$1" 2>/dev/null || { sleep 1; rm -rf -- "$1"; }
`

/**
 * Makes a group that works in `directory`. The folder belongs to the group: it is removed when the
 * group stops or our process ends.
 */
export function createProcessGroup(directory: string): ProcessGroup {
  // Sessions of their own, here and below: Ctrl-C in a terminal must reach only our process, which
  // then stops the rest in order.
  const reaper = spawn('/bin/sh', ['-c', reaperScript, 'reaper', directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  unreference(reaper)
  const members: Member[] = []
  let stopping = false
  const failure = Promise.withResolvers<never>()
  // Whoever does not look at it must not be ended by it.
  failure.promise.catch(() => undefined)

  const launch = async (
    name: string,
    file: string,
    args: readonly string[],
    stdout: 'pipe' | undefined,
  ): Promise<ChildProcess> => {
    const logFile = join(directory, `${name}.log`)
    const log = await open(logFile, 'a')
    const child = spawn(file, args, {
      cwd: directory,
      detached: true,
      stdio: ['ignore', stdout ?? log.fd, log.fd],
      // Nothing of the user's environment (proxies, KUBECONFIG, credentials) reaches the parts.
      env: { PATH: process.env['PATH'], HOME: directory, TMPDIR: directory },
    })
    await log.close()
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(signal ?? `code ${code ?? 'none'}`))
    })
    if (child.pid !== undefined) reaper.stdin.write(`add ${child.pid}\n`)
    unreference(child)
    members.push({ child, ended, gentle: stdout === 'pipe' })
    void ended.then(async (how) => {
      if (stopping) return
      const tail = await readFile(logFile, 'utf8').catch(() => '')
      const last = tail.trimEnd().split('\n').slice(-15).join('\n')
      failure.reject(new Error(`${name} ended (${how}):\n${last}`))
    })
    return child
  }

  return {
    failed: failure.promise,
    start: async (name, file, args) => {
      await launch(name, file, args, undefined)
    },
    startAndReadLine: async (name, file, args) => {
      const child = await launch(name, file, args, 'pipe')
      if (child.stdout === null) throw new Error(`${name} has no stdout`)
      // Until the line is there, it is what our process waits for.
      child.ref()
      const lines = createInterface(child.stdout)
      const line = new Promise<string>((resolve) => lines.once('line', resolve))
      const first = await Promise.race([line, failure.promise])
      unreference(child)
      return first
    },
    stop: async () => {
      stopping = true
      for (const { child, ended, gentle } of members.splice(0).reverse()) {
        child.ref()
        if (gentle) {
          signalGroup(child, 'SIGTERM')
          await Promise.race([ended, sleep(2000)])
        }
        signalGroup(child, 'SIGKILL')
        await ended
        reaper.stdin.write(`drop ${child.pid ?? 0}\n`)
      }
      reaper.stdin.end()
      await rm(directory, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

/** Lets our process end although a child runs. */
function unreference(child: ChildProcess): void {
  child.unref()
  for (const stream of [child.stdin, child.stdout]) {
    if (stream !== null && 'unref' in stream) (stream as { unref: () => void }).unref()
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  // An ended child's number may be another process' by now.
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It ended by itself.
  }
}
