import { spawn, type ChildProcess } from 'node:child_process'
import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

/** Processes that end with this one at the latest, and the folder they work in. */
export interface ProcessGroup {
  /** Starts a program; its output goes to `<name>.log` in the folder. `env` is added to its environment. */
  start: (
    name: string,
    file: string,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ) => Promise<void>
  /**
   * Like start, but returns the first line that the program writes to stdout. Such a program is sent
   * SIGTERM before it is killed.
   */
  startAndReadLine: (name: string, file: string, args: readonly string[]) => Promise<string>
  /** Rejects when a program ends that was not stopped; never resolves. */
  failed: Promise<never>
  /** Kills all programs, the last started first, and removes the folder. */
  stop: () => Promise<void>
}

/** How long a program may take to end after SIGTERM. */
const TERMINATION_MS = 2_000

interface Member {
  child: ChildProcess
  /** Resolves with the exit code or signal. */
  ended: Promise<string>
  /** Whether it is sent SIGTERM before SIGKILL. */
  terminatesFirst: boolean
}

/**
 * Reads "add PID" and "drop PID" from a pipe whose other end only this process holds. When this
 * process ends in any way (SIGKILL included), the kernel closes the pipe, and the reaper ends the
 * remaining process groups and removes the folder.
 */
const REAPER_SCRIPT = `
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
 * Creates a group that works in `directory`. The folder belongs to the group: it is removed when the
 * group stops or this process ends.
 */
export function createProcessGroup(directory: string): ProcessGroup {
  // Detached, here and below: Ctrl-C in a terminal must reach only this process, which then stops
  // the others in order.
  const reaper = spawn('/bin/sh', ['-c', REAPER_SCRIPT, 'reaper', directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  unreference(reaper)
  const members: Member[] = []
  let stopping = false
  const failure = Promise.withResolvers<never>()
  // Without a handler, the rejection would end a process that does not watch `failed`.
  failure.promise.catch(() => undefined)

  const launch = async (
    name: string,
    file: string,
    args: readonly string[],
    stdout: 'pipe' | undefined,
    env: Readonly<Record<string, string>> = {},
  ): Promise<ChildProcess> => {
    const logFile = join(directory, `${name}.log`)
    const log = await open(logFile, 'a')
    const child = spawn(file, args, {
      cwd: directory,
      detached: true,
      stdio: ['ignore', stdout ?? log.fd, log.fd],
      // The user's environment (proxies, KUBECONFIG, credentials) must not reach the parts.
      env: { PATH: process.env['PATH'], HOME: directory, TMPDIR: directory, ...env },
    })
    await log.close()
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(signal ?? `code ${code ?? 'none'}`))
    })
    if (child.pid !== undefined) reaper.stdin.write(`add ${child.pid}\n`)
    unreference(child)
    members.push({ child, ended, terminatesFirst: stdout === 'pipe' })
    void ended.then(async (outcome) => {
      if (stopping) return
      const tail = await readFile(logFile, 'utf8').catch(() => '')
      const last = tail.trimEnd().split('\n').slice(-15).join('\n')
      failure.reject(new Error(`${name} ended (${outcome}):\n${last}`))
    })
    return child
  }

  return {
    failed: failure.promise,
    start: async (name, file, args, env) => {
      await launch(name, file, args, undefined, env)
    },
    startAndReadLine: async (name, file, args) => {
      const child = await launch(name, file, args, 'pipe')
      if (child.stdout === null) throw new Error(`${name} has no stdout`)
      // Until the line has come, the child keeps this process alive.
      child.ref()
      const lines = createInterface(child.stdout)
      const line = new Promise<string>((resolve) => lines.once('line', resolve))
      const first = await Promise.race([line, failure.promise])
      unreference(child)
      return first
    },
    stop: async () => {
      stopping = true
      for (const { child, ended, terminatesFirst } of members.splice(0).reverse()) {
        child.ref()
        if (terminatesFirst) {
          signalGroup(child, 'SIGTERM')
          await Promise.race([ended, sleep(TERMINATION_MS)])
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

/** Lets this process end while a child runs. */
function unreference(child: ChildProcess): void {
  child.unref()
  for (const stream of [child.stdin, child.stdout]) {
    if (stream !== null && 'unref' in stream) (stream as { unref: () => void }).unref()
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  // The ID of a child that has ended may belong to another process now.
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It has ended by itself.
  }
}
