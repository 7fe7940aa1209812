// Line icons as SVG elements. Always decoration: the words beside an icon carry the meaning.

const PATHS = {
  arrow: "M4 12h16M14 6l6 6-6 6",
  attach: "M19 11.5l-7.6 7.6a4.6 4.6 0 0 1-6.5-6.5l8.2-8.2a3.1 3.1 0 0 1 4.4 4.4l-8.2 8.1a1.5 1.5 0 0 1-2.2-2.1l7.2-7.2",
  back: "M15 5l-7 7 7 7",
  bulb: "M9 18h6M10 21h4M12 3a6 6 0 0 0-3.6 10.8c.7.6 1.1 1.3 1.1 2.2h5c0-.9.4-1.6 1.1-2.2A6 6 0 0 0 12 3z",
  check: "M5 12.5l4.5 4.5L19 7.5",
  clock: "M12 7v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h10v11H9zM5 15V4h10",
  dislike: "M17 14V4M17 14l-4.3 7a2.2 2.2 0 0 1-2-3l.8-4H5.6a2 2 0 0 1-2-2.5l1.6-6A2 2 0 0 1 7.1 4H20v10z",
  download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  edit: "M4 20l1-4.5L16.5 4l3.5 3.5L8.5 19zM14 6.5l3.5 3.5",
  file: "M6 3h8l5 5v13H6zM14 3v5h5",
  like: "M7 10v10M7 10l4.3-7a2.2 2.2 0 0 1 2 3l-.8 4h5.9a2 2 0 0 1 2 2.5l-1.6 6a2 2 0 0 1-1.9 1.5H4V10z",
  moon: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z",
  more: "M6 12v.1M12 12v.1M18 12v.1",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20c0-3.5 2.7-6 6-6s6 2.5 6 6M16 4.5a3.2 3.2 0 0 1 0 6M17.5 14.5c2.2.7 3.5 2.7 3.5 5.5",
  reply: "M10 7L4 12l6 5v-3.5c5 0 8 1.5 10 4.5-.5-5.5-4-8.5-10-8.8z",
  retry: "M19 12a7 7 0 1 1-2-5M19 4v4h-4",
  send: "M4 12l16-8-5 16-3.5-6.5zM11.5 13.5L20 4",
  stop: "M7 7h10v10H7z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5L19 19M5 19l1.5-1.5M17.5 6.5L19 5",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  hash: "M5 9h15M4 15h15M10 4L8 20M16 4l-2 16",
  warning: "M12 4l9 16H3zM12 10v4.5M12 17.5v.1",
};

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  return drawing("icon", [["path", { d: PATHS[name] }]]);
}

/** An SVG of the given shapes (`[tag, attributes]`) on a field of 24 by 24. */
export function drawing(look, shapes) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", look);
  svg.setAttribute("aria-hidden", "true");
  for (const [tag, attributes] of shapes) {
    const shape = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
    svg.append(shape);
  }
  return svg;
}
