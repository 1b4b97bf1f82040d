/**
 * The contract of src/runtime/driver.ts as tests, run once per driver against the real thing by
 * `driver-<name>.test.ts`. Each part of the contract is a file of driver/. What hostile code does is
 * tests/hostile/; what a driver's configuration says is tested beside the driver.
 */
import { after, before, describe } from 'node:test';
import { assertNothingLeft } from '../support/leftovers.ts';
import { describeCollect } from './driver/collect.ts';
import { describeExit } from './driver/exit.ts';
import { describeInputs } from './driver/inputs.ts';
import { describeLifeCycle } from './driver/life-cycle.ts';
import { describeLimits } from './driver/limits.ts';
import { describeOutlet } from './driver/outlet.ts';
import { describeProgram } from './driver/program.ts';
import { describeRecovery } from './driver/recovery.ts';
import { describeRunner } from './driver/runner.ts';
import { describeServer } from './driver/server.ts';
import { describeStreams } from './driver/streams.ts';
import type { DriverUnderTest, Subject } from './driver/subject.ts';
import { describeUsage } from './driver/usage.ts';

/** Registers all tests of the contract for one driver; `setup` is called once. */
export function describeDriver(name: string, setup: () => Promise<DriverUnderTest>): void {
  describe(`driver contract: ${name}`, () => {
    let found: DriverUnderTest | undefined;
    const subject: Subject = () => {
      if (found === undefined) throw new Error('The driver is made in `before`.');
      return found;
    };
    before(async () => {
      found = await setup();
    });
    after(async () => {
      if (found === undefined) return;
      try {
        await assertNothingLeft(found.scope);
      } finally {
        await found[Symbol.asyncDispose]();
      }
    });
    describeLifeCycle(subject);
    describeStreams(subject);
    describeExit(subject);
    describeProgram(subject);
    describeInputs(subject);
    describeCollect(subject);
    describeUsage(subject);
    describeLimits(subject);
    describeRunner(subject);
    describeServer(subject);
    describeOutlet(subject);
    describeRecovery(subject);
  });
}
