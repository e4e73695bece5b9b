/** What Redis knows of what runs in a replica: never more than it has. */
import { expect, test } from 'vitest'

import { createReportedCounts } from '../../src/limits/reported-counts.ts'

test('nothing is known of a user at first', () => {
  expect(createReportedCounts(10).least('ada')).toBe(0)
})

test('a number counts once the script that writes it has run', () => {
  const counts = createReportedCounts(10)
  const report = counts.begin('ada', 7)
  expect(counts.least('ada')).toBe(0)
  report.done(true)
  expect(counts.least('ada')).toBe(7)
  expect(counts.least('bob')).toBe(0)
})

test('a lower number counts as soon as it is sent', () => {
  const counts = createReportedCounts(10)
  counts.begin('ada', 7).done(true)
  const lower = counts.begin('ada', 3)
  expect(counts.least('ada')).toBe(3)
  counts.begin('ada', 9).done(true)
  expect(counts.least('ada')).toBe(3)
  lower.done(true)
  expect(counts.least('ada')).toBe(3)
})

test('scripts of one number that run at the same time are told apart', () => {
  const counts = createReportedCounts(10)
  counts.begin('ada', 7).done(true)
  const [one, other] = [counts.begin('ada', 3), counts.begin('ada', 3)]
  const last = counts.begin('ada', 8)
  one.done(true)
  expect(counts.least('ada')).toBe(3)
  other.done(true)
  last.done(true)
  expect(counts.least('ada')).toBe(8)
})

test('a script that refuses leaves the number as it was', () => {
  const counts = createReportedCounts(10)
  counts.begin('ada', 7).done(true)
  counts.begin('ada', 9).done(false)
  expect(counts.least('ada')).toBe(7)
})

test('after a script that may have run or not, nothing is known', () => {
  const counts = createReportedCounts(10)
  counts.begin('ada', 7).done(true)
  const sentBefore = counts.begin('ada', 8)
  counts.begin('ada', 9).failed()
  expect(counts.least('ada')).toBe(0)
  sentBefore.done(true)
  expect(counts.least('ada')).toBe(0)
  counts.begin('ada', 4).done(true)
  expect(counts.least('ada')).toBe(4)
})

test('when Redis may have lost everything, nothing is known', () => {
  const counts = createReportedCounts(10)
  counts.begin('ada', 7).done(true)
  const sentBefore = counts.begin('ada', 8)
  counts.clear()
  sentBefore.done(true)
  expect(counts.least('ada')).toBe(0)
})

test('the users that are longest not seen are forgotten when there are too many', () => {
  const counts = createReportedCounts(2)
  for (const name of ['ada', 'bob', 'eve']) counts.begin(name, 5).done(true)
  expect(['ada', 'bob', 'eve'].map((name) => counts.least(name))).toEqual([0, 5, 5])
})
