import t from 'tap';
import { validating } from './kubectl/scenarios/validating.ts';
import { kubectlSuite } from './kubectl/suite.ts';

kubectlSuite(t, validating);
