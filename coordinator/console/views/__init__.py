"""The console's pages, one router per feature. A view calls services and `page`; it holds no rule of its own."""
