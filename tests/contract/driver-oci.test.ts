/** The driver contract on the `oci` driver with the runtime of this host. */
import { describeDriver } from './driver.ts';
import { createOciUnderTest } from './oci-under-test.ts';

describeDriver('oci', createOciUnderTest);
