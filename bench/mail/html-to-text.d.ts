/** What is used of html-to-text, which brings no types. */
declare module 'html-to-text' {
  interface Builder {
    addInline(text: string): void;
  }
  interface Options {
    readonly wordwrap: false;
    readonly limits: { readonly maxInputLength: number; readonly maxDepth: number };
    readonly baseElements: { readonly selectors: readonly string[] };
    readonly formatters: Readonly<
      Record<string, (element: unknown, walk: unknown, builder: Builder) => void>
    >;
    readonly selectors: readonly {
      readonly selector: string;
      readonly format?: string;
      readonly options?: Readonly<Record<string, boolean>>;
    }[];
  }
  export function compile(options: Options): (html: string) => string;
}
