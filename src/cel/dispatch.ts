/** Calls of functions that have overloads. */
import { CelValueError } from './error.ts'
import { accepts, type Overload } from './library.ts'
import { CHARACTERS_PER_STEP, type Meter } from './meter.ts'
import type { Program, Step } from './step.ts'
import { isOpaque, typeName, type Value } from './values.ts'

/** Calls the first overload whose types are those of the arguments. */
export function dispatch(
  name: string,
  overloads: readonly Overload[],
  operands: readonly Step[],
): Program {
  return (slots, meter) => {
    const args = operands.map(({ run }) => run(slots, meter))
    meter.charge(1 + lengthOf(args) / CHARACTERS_PER_STEP)
    for (const overload of overloads) {
      const { implementation } = overload
      if (implementation === undefined || !accepts(overload, args)) continue
      return (implementation as (meter: Meter, ...args: readonly Value[]) => Value)(meter, ...args)
    }
    const types = args.map(typeName).join(', ')
    throw new CelValueError(`no such overload: ${name}(${types})`)
  }
}

function lengthOf(args: readonly Value[]): number {
  let length = 0
  for (const arg of args) {
    if (typeof arg === 'string' || arg instanceof Uint8Array) length += arg.length
    else if (isOpaque(arg)) length += arg.text.length
  }
  return length
}
