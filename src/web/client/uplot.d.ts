/** The chart library, served beside our modules as `uplot.js`. */
export { default } from 'uplot';
