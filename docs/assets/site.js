"use strict";
// A picture has a dark file beside its light one, of which <picture> takes what the system prefers. On the site the
// reader's own choice of a theme counts.
{
  const choose = () => {
    const isDark = document.body.dataset.mdColorScheme === "slate";
    for (const source of document.querySelectorAll("picture source")) source.media = isDark ? "all" : "not all";
  };
  new MutationObserver(choose).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
  choose();
}
