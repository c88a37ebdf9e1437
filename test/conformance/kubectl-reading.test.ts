import t from 'tap';
import { reading } from './kubectl/scenarios/reading.ts';
import { kubectlSuite } from './kubectl/suite.ts';

kubectlSuite(t, reading);
