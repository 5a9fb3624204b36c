/** Topic names from templates: what a transport publishes, by its own default or by the `topics` of a sink. */

/** Fills {site}, {task} and {what} into the template for `what`, or into `byDefault` where there is none. */
export function topicFrom(
  byDefault: string,
  site: string,
  task: string,
  what: string,
  templates: Readonly<Record<string, string>> = {},
): string {
  const values: Readonly<Record<string, string>> = { site, task, what };
  const template = Object.hasOwn(templates, what) ? templates[what] : byDefault;
  return template.replace(/\{(site|task|what)\}/g, (_all, name: string) => values[name]);
}
