from dougong.cli import main

main()
